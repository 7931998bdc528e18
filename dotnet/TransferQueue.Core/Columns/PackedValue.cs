using System.Buffers.Binary;

namespace TransferQueue.Columns;

/// <summary>
/// Walks over MessagePack bytes without building anything and without recursion: where a value ends, whether it is whole,
/// how deep it nests. It runs before any reader, so that a reader never meets a cut value or a count that the bytes can't hold.
/// Source of the format: https://github.com/msgpack/msgpack/blob/master/spec.md.
/// </summary>
internal static class PackedValue
{
    /// <summary>Maps and arrays inside one another that a header, a tag or a packed batch may have.</summary>
    internal const int MaxNesting = 32;

    /// <summary>Bytes of the value that <paramref name="bytes"/> begins with.</summary>
    /// <param name="bytes">One value and whatever follows.</param>
    /// <param name="what">What has it, for the error's text.</param>
    /// <param name="maxNesting">Maps and arrays inside one another, at most <see cref="MaxNesting"/>.</param>
    /// <exception cref="ProtocolException">The value is cut, has a reserved code or an extension type that we don't know.</exception>
    /// <exception cref="LimitExceededException">It nests deeper than <paramref name="maxNesting"/>.</exception>
    internal static int Measure(ReadOnlySpan<byte> bytes, string what, int maxNesting = MaxNesting)
    {
        Head head = ReadHead(bytes, what);
        return head.Children == 0 ? head.Bytes : MeasureContainer(bytes, what, maxNesting);
    }

    private static int MeasureContainer(ReadOnlySpan<byte> bytes, string what, int maxNesting)
    {
        Span<long> open = stackalloc long[MaxNesting];
        int depth = 0;
        int at = 0;
        long left = 1;
        while (true)
        {
            while (left == 0)
            {
                if (depth == 0)
                    return at;
                left = open[--depth];
            }
            left--;
            var head = ReadHead(bytes[at..], what);
            at += head.Bytes;
            if (head.Children == 0)
                continue;
            if (head.Children > bytes.Length - at)
                throw Cut(what, at, head.Children, bytes.Length - at);
            if (depth == maxNesting)
                throw new LimitExceededException($"{what}: maps and arrays nest deeper than {MaxNesting}");
            open[depth++] = left;
            left = head.Children;
        }
    }

    /// <summary>The first bytes of a value: how long they are with a scalar's content, and how many values follow inside.</summary>
    /// <param name="Bytes">Code, length and content (of a scalar, string, binary, extension).</param>
    /// <param name="Content">Where the content begins in these bytes.</param>
    /// <param name="Children">Values inside: 2 per entry of a map, 1 per item of an array.</param>
    /// <param name="Code">The first byte.</param>
    internal readonly record struct Head(int Bytes, int Content, long Children, byte Code)
    {
        /// <summary>Whether this is a map.</summary>
        internal bool IsMap => Code is >= 0x80 and <= 0x8F or 0xDE or 0xDF;

        /// <summary>Whether this is an array.</summary>
        internal bool IsArray => Code is >= 0x90 and <= 0x9F or 0xDC or 0xDD;

        /// <summary>Whether this is a string.</summary>
        internal bool IsString => Code is >= 0xA0 and <= 0xBF or >= 0xD9 and <= 0xDB;
    }

    /// <summary>Reads the head of the value that <paramref name="bytes"/> begins with.</summary>
    /// <exception cref="ProtocolException">The value is cut, has a reserved code or an extension type that we don't know.</exception>
    internal static Head ReadHead(ReadOnlySpan<byte> bytes, string what)
    {
        if (bytes.IsEmpty)
            throw Cut(what, 0, 1, 0);
        byte code = bytes[0];
        int scalar = ScalarBytes[code];
        if (scalar > 0 && scalar <= bytes.Length)
            return new Head(scalar, 1, 0, code);
        var (width, extension) = code switch
        {
            <= 0xBF or >= 0xE0 or 0xC0 or 0xC2 or 0xC3 => (0, 0),
            0xC4 or 0xD9 => (1, 0),
            0xC5 or 0xDA or 0xDC or 0xDE => (2, 0),
            0xC6 or 0xDB or 0xDD or 0xDF => (4, 0),
            0xC7 => (1, 1),
            0xC8 => (2, 1),
            0xC9 => (4, 1),
            0xCA or 0xCE or 0xD2 => (0, 0),
            0xCB or 0xCF or 0xD3 or 0xCC or 0xCD or 0xD0 or 0xD1 => (0, 0),
            >= 0xD4 and <= 0xD8 => (0, 1),
            _ => throw new ProtocolException($"{what}: the byte 0x{code:X2} begins no MessagePack value"),
        };
        int content = 1 + width + extension;
        if (bytes.Length < content)
            throw Cut(what, 0, content, bytes.Length);
        if (extension == 1)
            CheckExtension(bytes[content - 1], what);
        long count = width switch
        {
            1 => bytes[1],
            2 => BinaryPrimitives.ReadUInt16BigEndian(bytes[1..]),
            4 => BinaryPrimitives.ReadUInt32BigEndian(bytes[1..]),
            _ => ImpliedCount(code),
        };
        long children = code switch
        {
            (>= 0x80 and <= 0x8F) or 0xDE or 0xDF => 2 * count,
            (>= 0x90 and <= 0x9F) or 0xDC or 0xDD => count,
            _ => 0,
        };
        long length = content + (IsContainer(code) ? 0 : count);
        if (length > bytes.Length)
            throw Cut(what, 0, length, bytes.Length);
        return new Head((int)length, content, children, code);
    }

    /// <summary>Refuses extension types outside of tags' two: 1 a tuple, 2 a long integer (docs/wire.md, section 4).</summary>
    private static void CheckExtension(byte type, string what)
    {
        if (type is not (1 or 2))
            throw new ProtocolException($"{what}: extension type {(sbyte)type}; there are 1 (tuple) and 2 (integer beyond 64 bits)");
    }

    /// <summary>By code: bytes of a scalar or string whose length the code alone says; 0: there is more to read. Most values are of these.</summary>
    private static readonly byte[] ScalarBytes = [.. Enumerable.Range(0, 256).Select(code => (byte)(code switch
    {
        <= 0x7F or >= 0xE0 or 0xC0 or 0xC2 or 0xC3 or (>= 0xA0 and <= 0xBF) or 0xCA or 0xCB or (>= 0xCC and <= 0xD3) => 1 + ImpliedCount((byte)code),
        _ => 0,
    }))];

    private static bool IsContainer(byte code) => code is >= 0x80 and <= 0x9F or >= 0xDC and <= 0xDF;

    private static int ImpliedCount(byte code) => code switch
    {
        >= 0x80 and <= 0x9F => code & 0x0F,
        >= 0xA0 and <= 0xBF => code & 0x1F,
        0xCC or 0xD0 => 1,
        0xCD or 0xD1 => 2,
        0xCA or 0xCE or 0xD2 => 4,
        0xCB or 0xCF or 0xD3 => 8,
        >= 0xD4 and <= 0xD8 => 1 << (code - 0xD4),
        _ => 0,
    };

    private static ProtocolException Cut(string what, int at, long wanted, long there) =>
        new($"{what}: cut: {wanted} more bytes or values belong behind byte {at}, {there} bytes are there");
}

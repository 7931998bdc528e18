using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using MessagePack;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>
/// Reads one map of a header, strictly: its whole structure is checked before the first value, each key may come once and
/// must be known, each value must be of its type and within its limit. nil is the same as absent.
/// What it returns as memory is a part of the header.
/// </summary>
internal ref partial struct HeaderReader
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly string _what;

    /// <summary>The key whose value this map is; empty: it is the header.</summary>
    private readonly string _inside = "";
    private MessagePackReader _reader;

    /// <summary>Entries that are still to come.</summary>
    private int _left;

    /// <summary>Bit i: key i of the set has been there.</summary>
    private ulong _seen;

    /// <summary>The key whose value is read now, for error texts.</summary>
    private string _key = "";

    /// <summary>Begins to read the map that <paramref name="bytes"/> is.</summary>
    /// <param name="what">What has the map, for error texts: "PUT".</param>
    /// <param name="bytes">Exactly one map.</param>
    /// <param name="limits">What it may have.</param>
    /// <exception cref="ProtocolException">It is cut, no map, or something follows it.</exception>
    /// <exception cref="LimitExceededException">It is too long or nests too deep.</exception>
    internal HeaderReader(string what, ReadOnlyMemory<byte> bytes, ProtocolLimits limits)
        : this(what, limits, bytes)
    {
        Expect(MessagePackType.Map, "a map");
        _left = _reader.ReadMapHeader();
    }

    /// <summary>Begins to read the map that is the value of a key; it was checked with the header.</summary>
    private HeaderReader(string what, string inside, ReadOnlyMemory<byte> bytes, ProtocolLimits limits)
    {
        (_what, _inside, Limits) = (what, inside, limits);
        _reader = new MessagePackReader(bytes);
        _left = _reader.ReadMapHeader();
    }

    private HeaderReader(string what, ProtocolLimits limits, ReadOnlyMemory<byte> bytes)
    {
        _what = what;
        Limits = limits;
        if (bytes.Length > limits.HeaderBytes)
            ProtocolLimits.Check($"{what}: bytes of a header", bytes.Length, limits.HeaderBytes);
        int end = PackedValue.Measure(bytes.Span, what);
        if (end != bytes.Length)
            throw new ProtocolException($"{what}: {bytes.Length - end} bytes behind its end");
        _reader = new MessagePackReader(bytes);
    }

    /// <summary>What the message may have.</summary>
    internal ProtocolLimits Limits { get; }

    /// <summary>Begins to read an array of arguments; its head comes next.</summary>
    internal static HeaderReader OfArray(string what, ReadOnlyMemory<byte> bytes, ProtocolLimits limits) => new(what, limits, bytes);

    /// <summary>Goes on to the next entry that is not nil; null behind the last one.</summary>
    /// <exception cref="ProtocolException">The key is unknown or has been there already.</exception>
    internal string? Next(HeaderKeys known)
    {
        while (_left-- > 0)
        {
            _key = "";
            int position = Position(known);
            ulong bit = 1UL << position;
            _key = known[position];
            if ((_seen & bit) != 0)
                throw Broken("appears twice");
            _seen |= bit;
            if (!_reader.TryReadNil())
                return _key;
        }
        return null;
    }

    /// <summary>Reads an integer.</summary>
    /// <exception cref="ProtocolException">It is none, or out of the range.</exception>
    internal long Integer(long min = long.MinValue, long max = long.MaxValue)
    {
        Expect(MessagePackType.Integer, "an integer");
        Int128 value = _reader.NextCode == MessagePackCode.UInt64 ? _reader.ReadUInt64() : _reader.ReadInt64();
        if (value < min || value > max)
            throw Broken($"{value}, allowed are {min} to {max}");
        return (long)value;
    }

    /// <summary>Reads a 32-bit integer.</summary>
    internal int Integer32() => (int)Integer(int.MinValue, int.MaxValue);

    /// <summary>Reads a number of rows.</summary>
    /// <exception cref="LimitExceededException">More than a message may have.</exception>
    internal int Rows()
    {
        long rows = Integer(0);
        CheckLimit("rows", rows, Limits.Rows);
        return (int)rows;
    }

    /// <summary>Reads a bool.</summary>
    internal bool Boolean()
    {
        Expect(MessagePackType.Boolean, "a bool");
        return _reader.ReadBoolean();
    }

    /// <summary>Reads the name of a partition, field or task.</summary>
    /// <exception cref="ProtocolException">It is empty, or no string.</exception>
    internal string Name()
    {
        var bytes = TextBytes(Limits.NameBytes);
        try
        {
            return bytes.Length > 0 ? NameCache.Get(bytes) : throw Broken("an empty name");
        }
        catch (DecoderFallbackException)
        {
            throw Broken("a string that is no UTF-8");
        }
    }

    /// <summary>Reads a string of at most <paramref name="maxBytes"/> bytes of UTF-8.</summary>
    internal string Text(long maxBytes)
    {
        var bytes = TextBytes(maxBytes);
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Broken("a string that is no UTF-8");
        }
    }

    /// <summary>Reads binary of any length; a part of the header.</summary>
    internal ReadOnlyMemory<byte> Binary()
    {
        Expect(MessagePackType.Binary, "binary");
        return _reader.ReadBytes()!.Value.First;
    }

    /// <summary>Reads binary of exactly <paramref name="length"/> bytes.</summary>
    internal ReadOnlyMemory<byte> Binary(int length)
    {
        var bytes = Binary();
        return bytes.Length == length ? bytes : throw Broken($"{bytes.Length} bytes where {length} belong");
    }

    /// <summary>Reads binary that is a row of little-endian numbers.</summary>
    internal ImmutableArray<T> Numbers<T>(long maxCount)
        where T : unmanaged
    {
        var bytes = Binary().Span;
        int size = Marshal.SizeOf<T>();
        if (bytes.Length % size != 0)
            throw Broken($"{bytes.Length} bytes are no multiple of {size}");
        CheckLimit("numbers", bytes.Length / size, maxCount);
        return ImmutableCollectionsMarshal.AsImmutableArray(MemoryMarshal.Cast<byte, T>(bytes).ToArray());
    }

    /// <summary>Reads an array of names.</summary>
    internal ImmutableArray<string> Names() => Names(Limits.Frames);

    /// <summary>Reads an array of at most <paramref name="maxCount"/> names.</summary>
    internal ImmutableArray<string> Names(long maxCount)
    {
        int count = List(maxCount);
        var names = new string[count];
        for (int i = 0; i < count; i++)
            names[i] = Name();
        return ImmutableCollectionsMarshal.AsImmutableArray(names);
    }

    /// <summary>Reads the head of an array.</summary>
    /// <returns>Its items.</returns>
    internal int List(long maxCount)
    {
        Expect(MessagePackType.Array, "an array");
        int count = _reader.ReadArrayHeader();
        CheckLimit("items", count, maxCount);
        return count;
    }

    /// <summary>Reads the head of an array that must have <paramref name="count"/> items.</summary>
    internal void Tuple(int count)
    {
        int there = List(int.MaxValue);
        if (there != count)
            throw Broken($"an array of {there} where one of {count} belongs");
    }

    /// <summary>Begins to read a map inside; this reader goes on behind it.</summary>
    internal HeaderReader Map()
    {
        Expect(MessagePackType.Map, "a map");
        return new HeaderReader(What, _key, _reader.ReadRaw().First, Limits);
    }

    /// <summary>Reads the next entry of a map whose keys are free; null behind the last one.</summary>
    internal string? NextFree()
    {
        _key = "";
        if (_left-- <= 0)
            return null;
        return _key = Name();
    }

    /// <summary>Whether nil comes next; reads it.</summary>
    internal bool Nil() => _reader.TryReadNil();

    /// <summary>Whether a string comes next.</summary>
    internal bool AtText() => _reader.NextMessagePackType == MessagePackType.String;

    /// <summary>The value of a key that must be there.</summary>
    /// <exception cref="ProtocolException">It was not.</exception>
    internal readonly T Required<T>(T? value, string key)
        where T : struct => value ?? throw Missing(key);

    /// <summary>The value of a key that must be there.</summary>
    /// <exception cref="ProtocolException">It was not.</exception>
    internal readonly T Required<T>(T? value, string key)
        where T : class => value ?? throw Missing(key);

    /// <summary>An array that must be there.</summary>
    /// <exception cref="ProtocolException">It was not.</exception>
    internal readonly ImmutableArray<T> Required<T>(ImmutableArray<T> value, string key) => value.IsDefault ? throw Missing(key) : value;

    /// <summary>An error about the key that is read now.</summary>
    internal readonly ProtocolException Broken(string why) => new(_key.Length == 0 ? $"{What}: {why}" : $"{What}: '{_key}': {why}");

    private readonly string What => _inside.Length == 0 ? _what : $"{_what}, {_inside}";

    private readonly ProtocolException Missing(string key) => new($"{What}: '{key}' is missing");

    private readonly void CheckLimit(string what, long wanted, long limit)
    {
        if (wanted > limit)
            ProtocolLimits.Check($"{What}: '{_key}': {what}", wanted, limit);
    }

    private void Expect(MessagePackType type, string name)
    {
        if (_reader.NextMessagePackType is var there && there != type)
            throw Broken($"{there.ToString().ToLowerInvariant()} where {name} belongs");
    }

    private int Position(HeaderKeys known)
    {
        const int MostBytes = 64;
        var key = TextBytes(MostBytes);
        int position = known.Find(key);
        return position >= 0 ? position : throw Broken($"unknown key '{Encoding.UTF8.GetString(key)}'; known are {known}");
    }

    private ReadOnlySpan<byte> TextBytes(long maxBytes)
    {
        Expect(MessagePackType.String, "a string");
        var bytes = _reader.ReadStringSequence()!.Value.First.Span;
        CheckLimit("bytes of a string", bytes.Length, maxBytes);
        return bytes;
    }
}

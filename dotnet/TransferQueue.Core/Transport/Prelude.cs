using System.Buffers.Binary;
using System.Runtime.InteropServices;
using TransferQueue.Columns;

namespace TransferQueue.Transport;

/// <summary>The first 48 bytes of a message (docs/wire.md, section 1): a value, little-endian in memory and on the wire.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8, Size = Bytes)]
internal readonly record struct Prelude
{
    /// <summary>Bytes of a prelude.</summary>
    public const int Bytes = 48;

    /// <summary>The letters TQN1.</summary>
    public const uint ExpectedMagic = 0x314E5154;

    /// <summary>The version that this code speaks.</summary>
    public const ushort CurrentVersion = 1;

    /// <summary>Which protocol it is.</summary>
    public uint Magic { get; init; }

    /// <summary>Which version of it.</summary>
    public ushort Version { get; init; }

    /// <summary>Which message.</summary>
    public ushort Type { get; init; }

    /// <summary>The request; chosen by the client, &gt; 0.</summary>
    public ulong RequestId { get; init; }

    /// <summary>The client has the answers to all requests with a smaller id; 0 in replies.</summary>
    public ulong Acknowledged { get; init; }

    /// <summary>Milliseconds that the caller still waits; 0 says "the default".</summary>
    public uint TimeoutMilliseconds { get; init; }

    /// <summary>Bytes of the header.</summary>
    public uint HeaderBytes { get; init; }

    /// <summary>Payload frames.</summary>
    public uint FrameCount { get; init; }

    /// <summary>What follows, and what may be answered.</summary>
    public PreludeFlags Flags { get; init; }

    /// <summary>Bytes of the frames that are in the message.</summary>
    public ulong PayloadBytes { get; init; }

    /// <summary>A prelude of the current version.</summary>
    public static Prelude Create(ushort type, ulong requestId) =>
        new() { Magic = ExpectedMagic, Version = CurrentVersion, Type = type, RequestId = requestId };

    /// <summary>Whether the places of the frames follow their lengths.</summary>
    public bool HasPlaces => (Flags & PreludeFlags.Placed) != 0;

    /// <summary>Bytes of the frame lengths and of the places that follow. Call it on a checked prelude only.</summary>
    public int FrameListBytes => (int)FrameCount * sizeof(ulong) * (HasPlaces ? 2 : 1);

    /// <summary>Bytes of the frame lengths, places and the header that follow. Call it on a checked prelude only.</summary>
    public int HeadBytes => FrameListBytes + (int)HeaderBytes;

    /// <summary>Takes a prelude from the first 48 bytes, unchecked.</summary>
    public static Prelude Read(ReadOnlySpan<byte> bytes) => new()
    {
        Magic = BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        Version = BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]),
        Type = BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]),
        RequestId = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
        Acknowledged = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
        TimeoutMilliseconds = BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]),
        HeaderBytes = BinaryPrimitives.ReadUInt32LittleEndian(bytes[28..]),
        FrameCount = BinaryPrimitives.ReadUInt32LittleEndian(bytes[32..]),
        Flags = (PreludeFlags)BinaryPrimitives.ReadUInt32LittleEndian(bytes[36..]),
        PayloadBytes = BinaryPrimitives.ReadUInt64LittleEndian(bytes[40..48]),
    };

    /// <summary>Writes the 48 bytes.</summary>
    public void CopyTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[40..48], PayloadBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], Type);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], RequestId);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], Acknowledged);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[24..], TimeoutMilliseconds);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[28..], HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[32..], FrameCount);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[36..], (uint)Flags);
    }

    /// <summary>What is wrong with this prelude, or null. Nothing behind a wrong prelude can be trusted: the connection ends after the reply.</summary>
    public TransferQueueException? Check(TransportLimits limits)
    {
        if (Magic != ExpectedMagic)
            return new ProtocolException($"message: begins with 0x{Magic:X8}, not with the letters TQN1; is this a TransferQueue address?");
        if (Version != CurrentVersion)
            return new ProtocolVersionException($"message: protocol version {Version}, this side speaks {CurrentVersion}; use the same release on both sides");
        if (RequestId == 0)
            return new ProtocolException("message: request id 0; it must be positive");
        if ((Flags & ~(PreludeFlags.Placed | PreludeFlags.Shared)) != 0)
            return new ProtocolException($"message: flags 0x{(uint)Flags:X}, this side knows 1 (placed) and 2 (shared); use the same release on both sides");
        if (HeaderBytes > limits.HeaderBytes)
            return OverLimit("header bytes", HeaderBytes, limits.HeaderBytes);
        if (FrameCount > limits.Frames)
            return OverLimit("frames", FrameCount, limits.Frames);
        if (PayloadBytes > (ulong)limits.PayloadBytes)
            return OverLimit("payload bytes", PayloadBytes, limits.PayloadBytes);
        if (FrameCount == 0 && PayloadBytes != 0)
            return new ProtocolException($"message: {PayloadBytes} payload bytes in no frame");
        return null;
    }

    /// <summary>What is wrong with the lengths and places of the frames, or null. Whether anything lies at a place is not for a transport to know.</summary>
    /// <param name="frameLengths">One per frame.</param>
    /// <param name="places">One per frame, or empty: no frame is placed.</param>
    /// <param name="limits">What a message may have.</param>
    public TransferQueueException? CheckFrames(ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places, TransportLimits limits)
    {
        ulong sum = 0;
        for (int i = 0; i < frameLengths.Length; i++)
        {
            ulong length = frameLengths[i];
            if (length > (ulong)limits.FrameBytes)
                return OverLimit("bytes of a frame", length, limits.FrameBytes);
            if (!places.IsEmpty && places[i] != FramePlace.Inline)
            {
                if (length > (ulong)(FramePlace.SegmentBytes - FramePlace.Offset(places[i])))
                    return new ProtocolException($"message: frame {i} of {length} bytes is placed at {FramePlace.Offset(places[i])}, past the end of any segment");
                continue;
            }
            if (length > PayloadBytes - sum) // so the sum can't overflow
                return WrongSum(frameLengths.Length);
            sum += length;
        }
        return sum == PayloadBytes ? null : WrongSum(frameLengths.Length);
    }

    private ProtocolException WrongSum(int frames) =>
        new($"message: the lengths of {frames} frames don't add up to the {PayloadBytes} bytes that the prelude says");

    private static LimitExceededException OverLimit(string what, ulong asked, long limit) =>
        new($"message: {asked} {what}, the limit is {limit}; send it in smaller parts");
}

namespace TransferQueue.Protocol;

/// <summary>What a message may have, checked before anything is allocated for it (docs/wire.md, section 1).</summary>
internal sealed record ProtocolLimits
{
    /// <summary>The limits of a core that was told no others.</summary>
    internal static ProtocolLimits Default { get; } = new();

    /// <summary>Bytes of a header; default 64 MiB.</summary>
    internal long HeaderBytes { get; init; } = 64L << 20;

    /// <summary>Payload frames, and so columns; default 4096.</summary>
    internal long Frames { get; init; } = 4096;

    /// <summary>Bytes of one frame; default 1 TiB.</summary>
    internal long FrameBytes { get; init; } = 1L << 40;

    /// <summary>Bytes of all frames together; default: no limit but the storage's capacity, which the server sets.</summary>
    internal long PayloadBytes { get; init; } = long.MaxValue;

    /// <summary>Maps and arrays inside one another; 32, the same everywhere.</summary>
    internal long Nesting { get; init; } = Columns.PackedValue.MaxNesting;

    /// <summary>Bytes of a partition's, field's or task's name; default 1024.</summary>
    internal long NameBytes { get; init; } = 1024;

    /// <summary>Bytes of a key; default 4096.</summary>
    internal long KeyBytes { get; init; } = 4096;

    /// <summary>Dimensions of a row; default 16.</summary>
    internal long Dimensions { get; init; } = 16;

    /// <summary>Rows of one message; default 2^24.</summary>
    internal long Rows { get; init; } = 1L << 24;

    /// <summary>Checks the sizes that a prelude announces.</summary>
    /// <exception cref="LimitExceededException">One is over its limit.</exception>
    internal void CheckSizes(long headerBytes, ReadOnlySpan<long> frames)
    {
        Check("bytes of a header", headerBytes, HeaderBytes);
        Check("frames", frames.Length, Frames);
        Int128 payload = 0;
        foreach (long frame in frames)
        {
            Check("bytes of a frame", frame, FrameBytes);
            payload += frame;
        }
        Check("bytes of payload", payload, PayloadBytes);
    }

    /// <summary>Checks one number against its limit.</summary>
    /// <exception cref="LimitExceededException">It is over it.</exception>
    internal static void Check(string what, Int128 wanted, long limit)
    {
        if (wanted > limit)
            throw new LimitExceededException($"{what}: {wanted}, allowed are {limit}");
    }
}

namespace TransferQueue.Transport;

/// <summary>What a message may have at most (docs/wire.md, section 1). Checked before anything is allocated. Immutable.</summary>
internal sealed record TransportLimits
{
    /// <summary>The defaults.</summary>
    public static TransportLimits Default { get; } = new();

    /// <summary>Bytes of a header. Default 64 MiB.</summary>
    public int HeaderBytes { get; init; } = 64 << 20;

    /// <summary>Payload frames of a message. Default 4096.</summary>
    public int Frames { get; init; } = 4096;

    /// <summary>Bytes of one frame. Default 1 TiB.</summary>
    public long FrameBytes { get; init; } = 1L << 40;

    /// <summary>Bytes of all frames of a message. Default 1 TiB; a core sets its storage's capacity.</summary>
    public long PayloadBytes { get; init; } = 1L << 40;
}

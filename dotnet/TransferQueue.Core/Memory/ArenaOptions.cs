namespace TransferQueue.Memory;

/// <summary>How an <see cref="Arena"/> takes memory from the system. Immutable.</summary>
internal sealed record ArenaOptions
{
    private readonly long _capacityBytes;
    private readonly long _segmentBytes = 1L << 40;
    private readonly long _growthBytes = 64L << 20;

    /// <summary>Most bytes that the arena ever takes; rounded up to whole pages. Required, &gt; 0.</summary>
    public required long CapacityBytes
    {
        get => _capacityBytes;
        init => _capacityBytes = Positive(value, nameof(CapacityBytes));
    }

    /// <summary>Address room of one segment; a larger extent gets a larger segment. Default 1 TiB, so usually there is one segment.</summary>
    public long SegmentBytes
    {
        get => _segmentBytes;
        init => _segmentBytes = Positive(value, nameof(SegmentBytes));
    }

    /// <summary>Bytes that are taken from the system at once. Default 64 MiB.</summary>
    public long GrowthBytes
    {
        get => _growthBytes;
        init => _growthBytes = Positive(value, nameof(GrowthBytes));
    }

    /// <summary>
    /// Tells how many bytes the system still has; asked before each growth. Default <see cref="MemoryLimits.RemainingBytes()"/>. The kernel would
    /// rather kill processes than refuse shared memory that it hasn't got.
    /// </summary>
    public Func<long> RemainingBytes { get; init; } = MemoryLimits.RemainingBytes;

    /// <summary>Where its segments lie: in files of this folder; null, the default: in memory.</summary>
    public OffloadFolder? Folder { get; init; }

    /// <summary>Bytes that are left to other processes in any case. Default 128 MiB.</summary>
    public long ReserveBytes { get; init; } = 128L << 20;

    private static long Positive(long value, string name) =>
        value > 0 ? value : throw new InvalidArgumentException($"arena: {name} is {value}; it must be positive");
}

namespace TransferQueue.Storage;

/// <summary>How much a <see cref="StorageManager"/> takes. Immutable.</summary>
internal sealed record StorageOptions
{
    private readonly long? _rowCapacity;
    private readonly long _offloadBytes = 1 << 20;

    /// <summary>Most rows with a cell, over all partitions and units; null, the default: no limit.</summary>
    public long? RowCapacity
    {
        get => _rowCapacity;
        init => _rowCapacity = value is not < 0 ? value : throw new InvalidArgumentException($"storage: RowCapacity is {value}; it must be 0 or more");
    }

    /// <summary>Frames of so many bytes or more go to the unit of files, if there is one; smaller than 64 KiB none do. Default 1 MiB.</summary>
    public long OffloadBytes
    {
        get => _offloadBytes;
        init => _offloadBytes = value > 0 ? value : throw new InvalidArgumentException($"storage: OffloadBytes is {value}; it must be 1 or more");
    }
}

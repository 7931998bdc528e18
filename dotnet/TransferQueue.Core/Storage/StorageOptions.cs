namespace TransferQueue.Storage;

/// <summary>How much a <see cref="StorageManager"/> takes. Immutable.</summary>
internal sealed record StorageOptions
{
    private readonly long? _rowCapacity;

    /// <summary>Most rows with a cell, over all partitions and units; null, the default: no limit.</summary>
    public long? RowCapacity
    {
        get => _rowCapacity;
        init => _rowCapacity = value is not < 0 ? value : throw new InvalidArgumentException($"storage: RowCapacity is {value}; it must be 0 or more");
    }
}

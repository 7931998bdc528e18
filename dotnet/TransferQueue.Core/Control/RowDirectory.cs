namespace TransferQueue.Control;

/// <summary>Where the row of a global index is: its partition and slot. Writer thread only.</summary>
internal sealed class RowDirectory
{
    private (Partition? Partition, int Slot)[] _homes = [];

    /// <summary>Rows of all partitions.</summary>
    public long RowCount { get; private set; }

    /// <summary>Rows of all partitions that have a cell; the partitions count them.</summary>
    public long StoredCount { get; set; }

    /// <summary>The row's partition and slot; null and −1 if no row has the index.</summary>
    public (Partition? Partition, int Slot) this[long index] => (ulong)index < (ulong)_homes.Length && _homes[index].Partition is not null
        ? _homes[index]
        : (null, -1);

    /// <summary>Enters a row.</summary>
    public void Set(long index, Partition partition, int slot)
    {
        if (index >= _homes.Length)
            Array.Resize(ref _homes, checked((int)Math.Max(index + 1, Math.Max(64, _homes.Length * 2L))));
        _homes[index] = (partition, slot);
        RowCount++;
    }

    /// <summary>Forgets a row.</summary>
    public void Remove(long index)
    {
        _homes[index] = default;
        RowCount--;
    }
}

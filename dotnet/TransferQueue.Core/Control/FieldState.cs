using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>One field of a partition: which rows are ready in it, and where their cells lie. Writer thread only.</summary>
internal sealed class FieldState(string name)
{
    /// <summary>The field's name.</summary>
    public string Name { get; } = name;

    /// <summary>The element type of all cells, <see cref="Columns.DType.None"/> for text and objects; null while there is no cell.</summary>
    public DType? DType { get; private set; }

    /// <summary>A bit per slot: it has a cell.</summary>
    public ReadinessBitmap Ready { get; } = new();

    /// <summary>Slots that have a cell.</summary>
    public int ReadyCount => Ready.Count;

    /// <summary>Where the cells lie.</summary>
    public RowMap Map { get; } = new();

    /// <summary>Points slots to cells of <paramref name="segment"/>'s block.</summary>
    public void Assign(Segment segment, List<StoredColumn> released)
    {
        Ready.SetRange(segment.Start, segment.Count);
        Map.Assign(segment, released);
        DType = segment.Block.Column.Layout.DType;
    }

    /// <summary>Drops the cells of a stretch of slots; a field without cells forgets its element type.</summary>
    public void Remove(int start, int count, List<StoredColumn> released)
    {
        if (Ready.ClearRange(start, count) == 0)
            return;
        Map.Remove(start, count, released);
        if (ReadyCount == 0)
            DType = null;
    }

    /// <summary>Whether all slots of all stretches are ready.</summary>
    /// <param name="runs">The stretches.</param>
    /// <param name="rows">Rows of the partition: if all of them are ready, no stretch is looked at.</param>
    public bool IsReady(IReadOnlyList<SlotRun> runs, int rows)
    {
        if (ReadyCount == rows)
            return true;
        for (int i = 0; i < runs.Count; i++)
        {
            if (Ready.CountRange(runs[i].Start, runs[i].Count) != runs[i].Count)
                return false;
        }
        return true;
    }
}

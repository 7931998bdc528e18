using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>One column of the rows of one put, with the number of its cells that a partition still points to.</summary>
/// <remarks>When it falls to 0 the column is handed to Storage, which frees the extent once nobody reads it. Writer thread only.</remarks>
internal sealed class ColumnBlock(StoredColumn column)
{
    /// <summary>Where the cells lie.</summary>
    public StoredColumn Column { get; } = column;

    /// <summary>Cells that a row map points to.</summary>
    public int LiveCells { get; private set; }

    /// <summary>Counts cells that a row map points to from now on.</summary>
    public void Add(int cells) => LiveCells += cells;

    /// <summary>Counts cells that no row map points to any more; a block without cells joins <paramref name="released"/>.</summary>
    public void Drop(int cells, List<StoredColumn> released)
    {
        LiveCells -= cells;
        if (LiveCells == 0)
            released.Add(Column);
    }
}

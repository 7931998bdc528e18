using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Storage;

/// <summary>The right to read some columns: while it lasts none of their extents is freed.</summary>
/// <remarks>Made and ended by the writer (<see cref="StorageManager.Lease"/>, <see cref="StorageManager.Return"/>); read by any thread.</remarks>
internal sealed class ReadLease
{
    internal ReadLease(int rows, ImmutableArray<ColumnRuns> columns, List<StoredColumn> held) => (Rows, Columns, Held) = (rows, columns, held);

    /// <summary>Rows.</summary>
    public int Rows { get; }

    /// <summary>The columns, each with as many rows.</summary>
    public ImmutableArray<ColumnRuns> Columns { get; }

    /// <summary>The stored columns, each once.</summary>
    internal List<StoredColumn> Held { get; }

    /// <summary>Whether it was returned.</summary>
    internal bool IsOver { get; set; }
}

using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>
/// Finds the stretches of a batch's rows field by field. Fields that were put together lie alike: then a row's cell is at the place where that of the
/// field before was.
/// </summary>
/// <param name="rows">The rows, the same for all fields.</param>
internal sealed class RunCollector(FoundRows[] rows)
{
    private readonly List<ColumnRun> _runs = [];
    private readonly List<RowMap.Place>[] _places = [.. rows.Select(_ => new List<RowMap.Place>())];

    /// <summary>Segments of row maps looked at.</summary>
    public long SegmentsVisited { get; private set; }

    /// <summary>Of them, those that a map had to be searched for.</summary>
    public long Searches { get; private set; }

    /// <summary>The stretches of a field; every row has a cell in it.</summary>
    public ColumnRun[] Collect(string field)
    {
        _runs.Clear();
        for (int p = 0; p < rows.Length; p++)
        {
            if (rows[p].Partition.Field(field) is not { } cells)
                continue;
            var (looked, searched) = cells.Map.CollectRuns(rows[p].Slots, _runs, _places[p]);
            SegmentsVisited += looked;
            Searches += searched;
        }
        return [.. _runs];
    }
}

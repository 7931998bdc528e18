using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>
/// Finds the stretches of a batch's rows field by field. Fields that were put together lie alike: then the stretches of one field
/// are those of the field before, in other columns, and no row is looked up again.
/// </summary>
internal sealed class RunCollector
{
    private RowMap? _map;
    private ColumnRun[] _runs = [];

    /// <summary>Segments of row maps looked at.</summary>
    public long SegmentsVisited { get; private set; }

    /// <summary>The stretches of a field; every row has a cell in it.</summary>
    public ColumnRun[] Collect(string field, FoundRows[] rows)
    {
        RowMap? map = rows.Length == 1 ? rows[0].Partition.Field(field)?.Map : null;
        if (map is null || !TryFollow(map, out ColumnRun[]? runs))
            runs = LookUp(field, rows);
        (_map, _runs) = (map, runs);
        return runs;
    }

    private bool TryFollow(RowMap map, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out ColumnRun[]? runs)
    {
        runs = null;
        if (_map is null || map.SegmentCount > _runs.Length || map.MatchColumns(_map) is not { } columns)
            return false;
        SegmentsVisited += map.SegmentCount;
        runs = new ColumnRun[_runs.Length];
        StoredColumn? from = null, to = null;
        for (int i = 0; i < runs.Length; i++)
        {
            if (!ReferenceEquals(_runs[i].Column, from))
                (from, to) = (_runs[i].Column, columns[_runs[i].Column]);
            runs[i] = _runs[i] with { Column = to! };
        }
        return true;
    }

    private ColumnRun[] LookUp(string field, FoundRows[] rows)
    {
        List<ColumnRun> runs = [];
        foreach (FoundRows part in rows)
            SegmentsVisited += part.Partition.Field(field)?.Map.CollectRuns(part.Slots, runs) ?? 0;
        return [.. runs];
    }
}

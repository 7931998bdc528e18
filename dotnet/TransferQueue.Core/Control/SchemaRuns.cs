using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>The cells of one field for the rows of a batch, in their order; rows that have none are stretches too.</summary>
internal sealed class SchemaRuns
{
    private readonly List<ColumnRun> _found = [];
    private readonly List<RowMap.Place> _places = [];
    private readonly List<(ColumnRun? Run, int Count)> _runs = [];

    /// <summary>Stretches, with null for rows without a cell.</summary>
    public IReadOnlyList<(ColumnRun? Run, int Count)> Runs => _runs;

    /// <summary>Rows.</summary>
    public int Rows { get; private set; }

    /// <summary>The element type of the cells; null: there is none.</summary>
    public DType? DType { get; private set; }

    /// <summary>Appends the cells of rows of one partition.</summary>
    /// <param name="field">The field, or null if the partition hasn't got it.</param>
    /// <param name="slots">The rows.</param>
    public void Add(FieldState? field, ReadOnlySpan<int> slots)
    {
        Rows += slots.Length;
        for (int begin = 0; begin < slots.Length;)
        {
            bool there = field is not null && field.Ready[slots[begin]];
            int end = begin + 1;
            while (end < slots.Length && (field is not null && field.Ready[slots[end]]) == there)
                end++;
            if (there)
                AddCells(field!, slots[begin..end]);
            else
                _runs.Add((null, end - begin));
            begin = end;
        }
    }

    private void AddCells(FieldState field, ReadOnlySpan<int> slots)
    {
        _found.Clear();
        _places.Clear();
        field.Map.CollectRuns(slots, _found, _places);
        foreach (ColumnRun run in _found)
            _runs.Add((run, run.Count));
        DType ??= field.DType;
    }
}

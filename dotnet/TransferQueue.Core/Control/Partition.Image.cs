using TransferQueue.Columns;
using TransferQueue.Sampling;

namespace TransferQueue.Control;

internal sealed partial class Partition
{
    /// <summary>A partition as it was when an image was made. Any one thread: it belongs to no controller yet.</summary>
    /// <param name="image">What it has; its blocks are counted up.</param>
    /// <param name="pool">Where its indexes come from.</param>
    /// <param name="directory">Where its rows are entered.</param>
    /// <param name="clock">Numbers its changes.</param>
    public Partition(PartitionImage image, GlobalIndexPool pool, RowDirectory directory, ChangeClock clock)
        : this(image.Name, pool, directory, clock, preAllocate: 0)
    {
        RestoreRows(image);
        RestoreCells(image);
        foreach (TaskImage task in image.Tasks)
            Consume(task.Name, [.. task.Consumed.Select(run => new SlotRun(run.Start, run.Count, 0))]);
        foreach (int row in image.PreAllocated)
            _preAllocated.Enqueue(row);
        foreach (CachedBatch batch in image.Batches)
            Samples.Set(batch);
    }

    /// <summary>What there is now, copied. Any thread, as long as nothing changes meanwhile.</summary>
    public PartitionImage Capture()
    {
        int[] slots = SlotsAscending();
        int[]? rows = slots.Length == _slots.HighWater ? null : RowsBySlot(slots);
        return new PartitionImage(
            Name,
            Array.ConvertAll(slots, slot => _indexes[slot]),
            Array.ConvertAll(slots, slot => _keys[slot]),
            Array.ConvertAll(slots, slot => _tags[slot]),
            KeyOrder(rows),
            [.. _fields.Values.Select(field => new FieldImage(field.Name, Cells(field, rows)))],
            [.. _tasks.Select(task => new TaskImage(task.Key, Consumed(task.Value, slots)))],
            [.. _preAllocated.Select(slot => rows is null ? slot : rows[slot])],
            [.. Samples.Batches]);
    }

    /// <summary>Gives up the cells of a partition that was replaced; not to be used after that.</summary>
    /// <param name="released">Gets the columns, as it is walked on, each once; what was yielded says how many cells that step took.</param>
    public IEnumerable<int> Abandon(List<StoredColumn> released)
    {
        foreach (FieldState field in _fields.Values)
        {
            foreach (Segment cells in field.Map.Segments)
            {
                cells.Block.Drop(cells.Count, released);
                yield return cells.Count;
            }
        }
    }

    private int[] RowsBySlot(int[] slots)
    {
        int[] rows = new int[_slots.HighWater];
        for (int row = 0; row < slots.Length; row++)
            rows[slots[row]] = row;
        return rows;
    }

    private int[] KeyOrder(int[]? rows)
    {
        int[] order = new int[KeyCount];
        int at = 0;
        for (int slot = _keyOrder.First; slot >= 0; slot = _keyOrder.Next(slot))
            order[at++] = rows is null ? slot : rows[slot];
        return order;
    }

    /// <summary>Slots side by side that all have cells are rows side by side.</summary>
    private static Segment[] Cells(FieldState field, int[]? rows)
    {
        var cells = new Segment[field.Map.SegmentCount];
        int at = 0;
        foreach (Segment segment in field.Map.Segments)
            cells[at++] = rows is null ? segment : segment with { Start = rows[segment.Start] };
        return cells;
    }

    private static (int Start, int Count)[] Consumed(TaskState task, int[] slots)
    {
        List<(int Start, int Count)> runs = [];
        for (int row = 0; row < slots.Length; row++)
        {
            if (!task.Consumed[slots[row]])
                continue;
            if (runs.Count > 0 && runs[^1] is var last && last.Start + last.Count == row)
                runs[^1] = last with { Count = last.Count + 1 };
            else
                runs.Add((row, 1));
        }
        return [.. runs];
    }

    private void RestoreRows(PartitionImage image)
    {
        int rows = image.Indexes.Length;
        List<(int Start, int Count)> runs = [];
        _slots.Allocate(rows, runs);
        Grow(rows);
        for (int slot = 0; slot < rows; slot++)
        {
            _indexes[slot] = image.Indexes[slot];
            _tags[slot] = image.Tags[slot];
            _directory.Set(_indexes[slot], this, slot);
        }
        Link(runs);
        ExpectKeys(image.KeyOrder.Length);
        foreach (int slot in image.KeyOrder)
            SetKey(slot, image.Keys[slot]!);
    }

    private void RestoreCells(PartitionImage image)
    {
        List<StoredColumn> released = [];
        foreach (FieldImage own in image.Fields)
        {
            FieldState field = new(own.Name);
            _fields.Add(own.Name, field);
            foreach (Segment cells in own.Cells)
            {
                field.Assign(cells, released);
                MarkStored([new SlotRun(cells.Start, cells.Count, 0)]);
            }
        }
    }
}

using TransferQueue.Columns;
using TransferQueue.Sampling;

namespace TransferQueue.Control;

/// <summary>
/// The rows of one partition: slots, identities, keys, tags, what is ready in which field and what each task has consumed.
/// </summary>
/// <remarks>Writer thread only. Nothing here checks what it is asked: <see cref="Controller"/> has planned it before.</remarks>
internal sealed partial class Partition
{
    private readonly GlobalIndexPool _pool;
    private readonly RowDirectory _directory;
    private readonly SlotAllocator _slots = new();
    private readonly Dictionary<string, FieldState> _fields = [];
    private readonly Dictionary<string, TaskState> _tasks = [];

    /// <summary>Rows that exist but belong to nobody yet, in ascending order of their indexes: new rows are taken from here first.</summary>
    private readonly Queue<int> _preAllocated = new();

    /// <summary>By slot: the global index; only taken slots count.</summary>
    private long[] _indexes = [];

    /// <summary>By slot: the encoded tag; null: empty.</summary>
    private byte[]?[] _tags = [];

    /// <summary>Neighbouring taken slots whose global indexes fall: 0 while slots ascend as their indexes do.</summary>
    private int _descents;

    public Partition(string name, GlobalIndexPool pool, RowDirectory directory, ChangeClock clock, int preAllocate)
    {
        (Name, _pool, _directory, _changes) = (name, pool, directory, new KeyChanges(clock));
        int[] slots = new int[preAllocate];
        AllocateRows(slots);
        foreach (int slot in slots)
            _preAllocated.Enqueue(slot);
    }

    /// <summary>The partition's name.</summary>
    public string Name { get; }

    /// <summary>The batches that the sampler has fixed.</summary>
    public SampleCache Samples { get; } = new();

    /// <summary>Rows, pre-allocated ones included.</summary>
    public int RowCount => _slots.TakenCount;

    /// <summary>Rows that wait for an owner.</summary>
    public int PreAllocatedCount => _preAllocated.Count;

    /// <summary>A bit per slot: the row has a cell in some field.</summary>
    public ReadinessBitmap Stored { get; } = new();

    /// <summary>Rows that have a cell.</summary>
    public int StoredCount => Stored.Count;

    /// <summary>Whether ascending slots have ascending global indexes.</summary>
    public bool IsMonotone => _descents == 0;

    /// <summary>All fields that ever had a cell, in no order.</summary>
    public IReadOnlyCollection<FieldState> Fields => _fields.Values;

    /// <summary>The same, to be walked without an allocation.</summary>
    public Dictionary<string, FieldState>.ValueCollection AllFields => _fields.Values;

    /// <summary>The tasks that consumed rows, in no order.</summary>
    public IReadOnlyDictionary<string, TaskState> Tasks => _tasks;

    /// <summary>The field, or null if the partition has never had one of this name.</summary>
    public FieldState? Field(string name) => _fields.GetValueOrDefault(name);

    /// <summary>The task's state, or null if it has consumed nothing.</summary>
    public TaskState? Task(string name) => _tasks.GetValueOrDefault(name);

    /// <summary>The global index of a row.</summary>
    public long Index(int slot) => _indexes[slot];

    /// <summary>The tag of a row, packed; null: empty.</summary>
    public byte[]? Tag(int slot) => _tags[slot];

    /// <summary>Makes rows, first those that wait for an owner, and fills <paramref name="slots"/> with them.</summary>
    public void CreateRows(Span<int> slots)
    {
        int waiting = 0;
        while (waiting < slots.Length && _preAllocated.TryDequeue(out int slot))
            slots[waiting++] = slot;
        AllocateRows(slots[waiting..]);
    }

    /// <summary>Points the rows of <paramref name="runs"/> to the cells of a column.</summary>
    /// <param name="name">The field.</param>
    /// <param name="slices">The column's parts, together as long as the put.</param>
    /// <param name="runs">Where the put's rows are.</param>
    /// <param name="released">Gets the columns that lost their last cell.</param>
    public void AssignColumn(string name, BlockSlice[] slices, IReadOnlyList<SlotRun> runs, List<StoredColumn> released)
    {
        if (runs.Count == 0)
            return;
        if (!_fields.TryGetValue(name, out FieldState? field))
            _fields.Add(name, field = new FieldState(name));
        foreach (BlockSlice slice in slices)
        {
            foreach (SlotRun run in runs)
            {
                int begin = Math.Max(run.Row, slice.Row);
                int end = Math.Min(run.Row + run.Count, slice.Row + slice.Block.Column.Rows);
                if (begin < end)
                    field.Assign(new Segment(run.Start + begin - run.Row, end - begin, slice.Block, begin - slice.Row), released);
            }
        }
    }

    /// <summary>Notes that the rows of <paramref name="runs"/> have a cell.</summary>
    public void MarkStored(IReadOnlyList<SlotRun> runs)
    {
        foreach (SlotRun run in runs)
        {
            int before = Stored.Count;
            Stored.SetRange(run.Start, run.Count);
            _directory.StoredCount += Stored.Count - before;
        }
    }

    /// <summary>Merges an entry map into a row's tag, or puts it in its place.</summary>
    public void SetTag(int slot, ReadOnlyMemory<byte> tag, bool replace)
    {
        byte[]? old = _tags[slot];
        if (TagCodec.IsEmpty(tag.Span))
            _tags[slot] = replace ? null : old;
        else if (old is null || !tag.Span.SequenceEqual(old))
            _tags[slot] = replace || old is null ? tag.ToArray() : TagCodec.Merge(old, tag);
        if (!ReferenceEquals(_tags[slot], old) && _keys[slot] is not null)
            _changes.Change(slot);
    }

    /// <summary>Marks rows as handed to a task.</summary>
    public void Consume(string task, IReadOnlyList<SlotRun> runs)
    {
        if (!_tasks.TryGetValue(task, out TaskState? state))
            _tasks.Add(task, state = new TaskState());
        foreach (SlotRun run in runs)
            state.Mark(run);
    }

    /// <summary>Forgets what a task, or every task, has consumed.</summary>
    public void ResetConsumption(string? task)
    {
        if (task is null)
            _tasks.Clear();
        else
            _tasks.Remove(task);
    }

    /// <summary>Removes rows with everything they have; their indexes are left to the caller to release.</summary>
    /// <param name="runs">Ascending, disjoint, all taken.</param>
    /// <param name="indexes">Gets the rows' global indexes.</param>
    /// <param name="released">Gets the columns that lost their last cell.</param>
    public void RemoveRows(IReadOnlyList<SlotRun> runs, List<long> indexes, List<StoredColumn> released)
    {
        foreach (SlotRun run in runs)
        {
            foreach (FieldState field in _fields.Values)
                field.Remove(run.Start, run.Count, released);
            foreach (TaskState task in _tasks.Values)
                task.Clear(run);
            _directory.StoredCount -= Stored.ClearRange(run.Start, run.Count);
            for (int slot = run.Start; slot < run.Start + run.Count; slot++)
            {
                indexes.Add(_indexes[slot]);
                _directory.Remove(_indexes[slot]);
                RemoveKey(slot);
                _tags[slot] = null;
            }
            Unlink(run.Start, run.Count);
            _slots.Free(run.Start, run.Count);
        }
        ForgetPreAllocated();
    }

    /// <summary>Gives up everything, for a partition that goes as a whole; not to be used after that.</summary>
    /// <param name="indexes">Gets the rows' global indexes.</param>
    /// <param name="released">Gets the columns, all of which lose their last cell.</param>
    public void RemoveAll(List<long> indexes, List<StoredColumn> released)
    {
        foreach (FieldState field in _fields.Values)
            field.Remove(0, _slots.HighWater, released);
        _directory.StoredCount -= StoredCount;
        foreach (int slot in SlotsByIndex())
        {
            indexes.Add(_indexes[slot]);
            _directory.Remove(_indexes[slot]);
        }
    }

    private void AllocateRows(Span<int> slots)
    {
        List<(int Start, int Count)> runs = [];
        _slots.Allocate(slots.Length, runs);
        Grow(_slots.HighWater);
        long[] indexes = new long[slots.Length];
        _pool.Allocate(indexes);
        // Ascending indexes on ascending slots, also if there are several stretches.
        runs.Sort();
        int row = 0;
        foreach (var (start, count) in runs)
        {
            for (int slot = start; slot < start + count; slot++, row++)
            {
                slots[row] = slot;
                _indexes[slot] = indexes[row];
                _directory.Set(indexes[row], this, slot);
            }
        }
        Link(runs);
    }

    private void ForgetPreAllocated()
    {
        for (int left = _preAllocated.Count; left > 0; left--)
        {
            int slot = _preAllocated.Dequeue();
            if (_slots.IsTaken(slot))
                _preAllocated.Enqueue(slot);
        }
    }

    /// <summary>Counts the falls that new stretches, ascending, make among themselves and with their neighbours.</summary>
    private void Link(List<(int Start, int Count)> runs)
    {
        for (int i = 0; i < runs.Count;)
        {
            int previous = _slots.Previous(runs[i].Start);
            int last = previous, next;
            do
            {
                var (start, count) = runs[i++];
                _descents += Fall(last, start) + FallsInside(start, count);
                last = start + count - 1;
                next = _slots.Next(last);
            }
            while (i < runs.Count && next == runs[i].Start);
            _descents += Fall(last, next) - Fall(previous, next);
        }
    }

    /// <summary>Takes back the falls of a stretch that is about to go.</summary>
    private void Unlink(int start, int count)
    {
        int previous = _slots.Previous(start), next = _slots.Next(start + count - 1);
        _descents -= Fall(previous, start) + FallsInside(start, count) + Fall(start + count - 1, next) - Fall(previous, next);
    }

    private int FallsInside(int start, int count)
    {
        int falls = 0;
        for (int slot = start + 1; slot < start + count; slot++)
            falls += _indexes[slot - 1] > _indexes[slot] ? 1 : 0;
        return falls;
    }

    private int Fall(int low, int high) => low >= 0 && high >= 0 && _indexes[low] > _indexes[high] ? 1 : 0;

    private void Grow(int slots)
    {
        if (slots <= _indexes.Length)
            return;
        int size = Math.Max(64, Math.Max(slots, _indexes.Length * 2));
        Array.Resize(ref _indexes, size);
        Array.Resize(ref _tags, size);
    }
}

/// <summary>A block that holds some rows of a put.</summary>
/// <param name="Block">The block.</param>
/// <param name="Row">The put's row that is its first.</param>
internal readonly record struct BlockSlice(ColumnBlock Block, int Row);

using TransferQueue.Columns;

namespace TransferQueue.Control;

internal sealed partial class Partition
{
    /// <summary>Words of bitmaps looked at by scans so far: a test holds it against the rows.</summary>
    public long VisitedWords { get; private set; }

    /// <summary>All taken slots, ascending.</summary>
    public int[] SlotsAscending()
    {
        int[] slots = new int[RowCount];
        CopySlots(slots);
        return slots;
    }

    /// <summary>All taken slots in ascending order of their global indexes.</summary>
    public int[] SlotsByIndex()
    {
        int[] slots = new int[RowCount];
        CopySlotsByIndex(slots);
        return slots;
    }

    /// <summary>Writes all taken slots in ascending order of their global indexes.</summary>
    /// <param name="slots">Gets <see cref="RowCount"/> slots, and has room for no more.</param>
    public void CopySlotsByIndex(Span<int> slots)
    {
        CopySlots(slots);
        SortByIndex(slots);
    }

    /// <summary>The global indexes of rows.</summary>
    public long[] Indexes(ReadOnlySpan<int> slots)
    {
        long[] indexes = new long[slots.Length];
        CopyIndexes(slots, indexes);
        return indexes;
    }

    /// <summary>Writes the global indexes of rows.</summary>
    /// <param name="slots">The rows.</param>
    /// <param name="indexes">Gets as many.</param>
    public void CopyIndexes(ReadOnlySpan<int> slots, Span<long> indexes)
    {
        for (int i = 0; i < slots.Length; i++)
            indexes[i] = _indexes[slots[i]];
    }

    /// <summary>Rows that are ready in all fields of the query and not consumed by its task.</summary>
    /// <param name="query">The query.</param>
    /// <param name="enough">Counting may stop at this number.</param>
    public int CountReady(FetchQuery query, int enough = int.MaxValue)
    {
        if (!TryBitmaps(query, out ReadinessBitmap[] ready, out ReadinessBitmap? consumed))
            return 0;
        var (found, visited) = ReadyScan.Count(ready, consumed, enough);
        VisitedWords += visited;
        return found;
    }

    /// <summary>Whether as many rows as wanted can be ready, by the counters alone: false is certain.</summary>
    public bool MayHaveEnough(FetchQuery query)
    {
        int most = RowCount - (Task(query.Task)?.ConsumedCount ?? 0);
        foreach (string name in query.Fields)
            most = Math.Min(most, Field(name)?.ReadyCount ?? 0);
        return most >= query.BatchSize;
    }

    /// <summary>The ready rows in ascending order of their global indexes: the first <paramref name="count"/>, or all if there are fewer.</summary>
    public int[] TakeReady(FetchQuery query, int count)
    {
        if (!TryBitmaps(query, out ReadinessBitmap[] ready, out ReadinessBitmap? consumed))
            return [];
        int there = IsMonotone ? Math.Min(count, RowCount) : CountReady(query);
        int[] slots = new int[there];
        var (found, visited) = ReadyScan.Take(ready, consumed, slots);
        VisitedWords += visited;
        Array.Resize(ref slots, found);
        return IsMonotone ? slots : Smallest(slots, count);
    }

    /// <summary>Whether rows are ready in all of some fields.</summary>
    public bool AreReady(int[] slots, IEnumerable<string> fields) =>
        fields.All(name => Field(name) is { } field && Array.TrueForAll(slots, slot => field.Ready[slot]));

    private bool TryBitmaps(FetchQuery query, out ReadinessBitmap[] ready, out ReadinessBitmap? consumed)
    {
        ready = new ReadinessBitmap[query.Fields.Length];
        consumed = Task(query.Task)?.Consumed;
        for (int i = 0; i < ready.Length; i++)
        {
            if (Field(query.Fields[i]) is not { } field)
                return false;
            ready[i] = field.Ready;
        }
        return true;
    }

    /// <summary>The slots of the <paramref name="count"/> smallest global indexes, ascending by index.</summary>
    private int[] Smallest(int[] slots, int count)
    {
        if (count < slots.Length)
        {
            PriorityQueue<int, long> largest = new(count + 1);
            foreach (int slot in slots)
            {
                if (largest.Count < count)
                    largest.Enqueue(slot, -_indexes[slot]);
                else
                    largest.EnqueueDequeue(slot, -_indexes[slot]);
            }
            slots = [.. largest.UnorderedItems.Select(item => item.Element)];
        }
        SortByIndex(slots);
        return slots;
    }

    private void CopySlots(Span<int> slots)
    {
        int count = 0;
        bool isDense = RowCount == _slots.HighWater;
        for (int slot = 0; count < slots.Length; slot++)
        {
            if (isDense || _slots.IsTaken(slot))
                slots[count++] = slot;
        }
    }

    private void SortByIndex(Span<int> slots)
    {
        if (!IsMonotone)
            MemoryExtensions.Sort(Indexes(slots).AsSpan(), slots);
    }
}

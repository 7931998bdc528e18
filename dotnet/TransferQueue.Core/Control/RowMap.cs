using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>A stretch of slots whose cells lie side by side in one block.</summary>
/// <param name="Start">The first slot.</param>
/// <param name="Count">How many, ≥ 1.</param>
/// <param name="Block">The block.</param>
/// <param name="First">The row of the block that belongs to <paramref name="Start"/>.</param>
internal readonly record struct Segment(int Start, int Count, ColumnBlock Block, int First)
{
    /// <summary>One more than the last slot.</summary>
    public int End => Start + Count;

    /// <summary>Whether <paramref name="next"/> continues this segment, in slots and in rows of the same block.</summary>
    public bool Continues(in Segment next) => next.Start == End && ReferenceEquals(next.Block, Block) && next.First == First + Count;

    /// <summary>The part from <paramref name="start"/> to <paramref name="end"/>.</summary>
    public Segment Part(int start, int end) => new(start, end - start, Block, First + start - Start);
}

/// <summary>Which cell of which block a field has at each slot: disjoint segments in ascending order, in chunks.</summary>
/// <remarks>
/// A change costs O(log n + chunk + segments removed), a look-up O(log n). Neighbours that continue each other are one segment.
/// Writer thread only.
/// </remarks>
internal sealed class RowMap
{
    private const int ChunkSize = 256;

    /// <summary>No chunk is empty; ascending.</summary>
    private readonly List<Chunk> _chunks = [];

    /// <summary>Where a segment stands, until the map changes.</summary>
    /// <param name="Chunk">The chunk.</param>
    /// <param name="Item">Its item.</param>
    public readonly record struct Place(int Chunk, int Item);

    /// <summary>Segments.</summary>
    public int SegmentCount { get; private set; }

    /// <summary>All segments, ascending.</summary>
    public IEnumerable<Segment> Segments => _chunks.SelectMany(chunk => chunk.Items.Take(chunk.Count));

    /// <summary>Maps <paramref name="segment"/>'s slots to its cells; cells that were there before are dropped.</summary>
    public void Assign(Segment segment, List<StoredColumn> released)
    {
        // Counted before the removal: a put of the same block over itself must not release it.
        segment.Block.Add(segment.Count);
        Remove(segment.Start, segment.Count, released);
        Insert(segment);
    }

    /// <summary>Drops the cells at <paramref name="count"/> slots from <paramref name="start"/> on, where there are any.</summary>
    public void Remove(int start, int count, List<StoredColumn> released)
    {
        int end = start + count;
        if (!Seek(start, out int c, out int i))
            return;
        Segment found = _chunks[c].Items[i];
        if (found.Start < start)
        {
            if (found.End > end)
            {
                found.Block.Drop(count, released);
                _chunks[c].Items[i] = found.Part(found.Start, start);
                InsertAt(c, i + 1, found.Part(end, found.End));
                return;
            }
            found.Block.Drop(found.End - start, released);
            _chunks[c].Items[i] = found.Part(found.Start, start);
            i++;
        }
        RemoveWhole(c, i, end, released);
    }

    /// <summary>The segment at a slot.</summary>
    public bool TryFind(int slot, out Segment segment)
    {
        if (Seek(slot, out int c, out int i) && _chunks[c].Items[i].Start <= slot)
        {
            segment = _chunks[c].Items[i];
            return true;
        }
        segment = default;
        return false;
    }

    /// <summary>
    /// Adds the stretches that hold the cells of <paramref name="slots"/>, in that order, to <paramref name="runs"/>.
    /// Every slot must have a cell.
    /// </summary>
    /// <param name="slots">The slots.</param>
    /// <param name="runs">Gets the stretches.</param>
    /// <param name="places">Where the same slots were found in another map: fields that were put together lie alike, so these places are tried first. Overwritten.</param>
    /// <returns>The segments looked at, and for how many of them the map was searched.</returns>
    public (int Looked, int Searched) CollectRuns(ReadOnlySpan<int> slots, List<ColumnRun> runs, List<Place> places)
    {
        int looked = 0, searched = 0;
        for (int i = 0; i < slots.Length; looked++)
        {
            int slot = slots[i];
            if (looked == places.Count)
                places.Add(looked == 0 ? default : places[looked - 1] with { Item = places[looked - 1].Item + 1 });
            if (!Holds(places[looked], slot))
            {
                places[looked] = Find(slot);
                searched++;
            }
            ref Segment segment = ref _chunks[places[looked].Chunk].Items[places[looked].Item];
            int count = 1;
            int most = Math.Min(segment.End - slot, slots.Length - i);
            while (count < most && slots[i + count] == slot + count)
                count++;
            Append(runs, new ColumnRun(segment.Block.Column, segment.First + slot - segment.Start, count));
            i += count;
        }
        return (looked, searched);
    }

    private bool Holds(Place place, int slot) =>
        place.Chunk < _chunks.Count && place.Item < _chunks[place.Chunk].Count
        && _chunks[place.Chunk].Items[place.Item] is var segment && segment.Start <= slot && slot < segment.End;

    private Place Find(int slot) =>
        Seek(slot, out int c, out int i) && _chunks[c].Items[i].Start <= slot
            ? new Place(c, i)
            : throw new InvalidOperationException($"slot {slot}: no cell in the row map");

    private static void Append(List<ColumnRun> runs, ColumnRun run)
    {
        if (runs.Count > 0 && runs[^1] is var last && ReferenceEquals(last.Column, run.Column) && last.First + last.Count == run.First)
            runs[^1] = last with { Count = last.Count + run.Count };
        else
            runs.Add(run);
    }

    /// <summary>Finds the first segment that ends behind <paramref name="slot"/>.</summary>
    private bool Seek(int slot, out int chunk, out int item)
    {
        int low = 0, high = _chunks.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_chunks[middle].End > slot)
                high = middle;
            else
                low = middle + 1;
        }
        chunk = low;
        item = 0;
        if (low == _chunks.Count)
            return false;
        item = _chunks[low].Seek(slot);
        return true;
    }

    /// <summary>Removes from item <paramref name="i"/> of chunk <paramref name="c"/> on what lies below <paramref name="end"/>.</summary>
    private void RemoveWhole(int c, int i, int end, List<StoredColumn> released)
    {
        int emptied = -1, emptiedCount = 0;
        for (; c < _chunks.Count; c++, i = 0)
        {
            Chunk chunk = _chunks[c];
            int last = i;
            for (; last < chunk.Count && chunk.Items[last].End <= end; last++)
                chunk.Items[last].Block.Drop(chunk.Items[last].Count, released);
            SegmentCount -= last - i;
            chunk.RemoveRange(i, last - i);
            if (i < chunk.Count)
            {
                CutFront(ref chunk.Items[i], end, released);
                break;
            }
            if (chunk.Count == 0)
            {
                emptied = emptied < 0 ? c : emptied;
                emptiedCount++;
            }
        }
        if (emptiedCount > 0)
            _chunks.RemoveRange(emptied, emptiedCount);
    }

    private static void CutFront(ref Segment segment, int end, List<StoredColumn> released)
    {
        if (segment.Start >= end)
            return;
        segment.Block.Drop(end - segment.Start, released);
        segment = segment.Part(end, segment.End);
    }

    private void Insert(Segment segment)
    {
        if (!Seek(segment.Start, out int c, out int i))
        {
            // Behind everything: join the last segment, or the last chunk.
            c = Math.Max(0, _chunks.Count - 1);
            i = _chunks.Count == 0 ? 0 : _chunks[c].Count;
        }
        bool joinsNext = c < _chunks.Count && i < _chunks[c].Count && segment.Continues(_chunks[c].Items[i]);
        if (Before(c, i) is var (pc, pi) && pc >= 0 && _chunks[pc].Items[pi].Continues(segment))
        {
            ref Segment previous = ref _chunks[pc].Items[pi];
            previous = previous with { Count = previous.Count + segment.Count };
            if (!joinsNext)
                return;
            previous = previous with { Count = previous.Count + _chunks[c].Items[i].Count };
            RemoveAt(c, i);
        }
        else if (joinsNext)
        {
            ref Segment next = ref _chunks[c].Items[i];
            next = segment with { Count = segment.Count + next.Count };
        }
        else
        {
            InsertAt(c, i, segment);
        }
    }

    private (int Chunk, int Item) Before(int c, int i) =>
        i > 0 ? (c, i - 1) : c > 0 ? (c - 1, _chunks[c - 1].Count - 1) : (-1, 0);

    private void RemoveAt(int c, int i)
    {
        _chunks[c].RemoveRange(i, 1);
        SegmentCount--;
        if (_chunks[c].Count == 0)
            _chunks.RemoveAt(c);
    }

    private void InsertAt(int c, int i, Segment segment)
    {
        SegmentCount++;
        if (_chunks.Count == 0)
            _chunks.Add(new Chunk());
        Chunk chunk = _chunks[c];
        if (chunk.Count == ChunkSize)
        {
            // A row map mostly grows at its end: then the full chunk stays full.
            int keep = c == _chunks.Count - 1 && i == chunk.Count ? ChunkSize : ChunkSize / 2;
            _chunks.Insert(c + 1, chunk.SplitOff(keep));
            if (i > keep || keep == ChunkSize)
                (chunk, i) = (_chunks[c + 1], i - keep);
        }
        chunk.Insert(i, segment);
    }

    /// <summary>Up to <see cref="ChunkSize"/> segments, ascending.</summary>
    private sealed class Chunk
    {
        public Segment[] Items = new Segment[4];
        public int Count;

        public int End => Items[Count - 1].End;

        public int Seek(int slot)
        {
            int low = 0, high = Count;
            while (low < high)
            {
                int middle = (low + high) >>> 1;
                if (Items[middle].End > slot)
                    high = middle;
                else
                    low = middle + 1;
            }
            return low;
        }

        public void Insert(int index, Segment segment)
        {
            if (Count == Items.Length)
                Array.Resize(ref Items, Math.Min(ChunkSize, Count * 2));
            Array.Copy(Items, index, Items, index + 1, Count - index);
            Items[index] = segment;
            Count++;
        }

        public void RemoveRange(int index, int count)
        {
            Array.Copy(Items, index + count, Items, index, Count - index - count);
            Array.Clear(Items, Count - count, count);
            Count -= count;
        }

        public Chunk SplitOff(int keep)
        {
            Chunk tail = new() { Items = new Segment[ChunkSize], Count = Count - keep };
            Array.Copy(Items, keep, tail.Items, 0, tail.Count);
            Array.Clear(Items, keep, tail.Count);
            Count = keep;
            return tail;
        }
    }
}

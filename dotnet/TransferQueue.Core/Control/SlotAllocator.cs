using System.Numerics;

namespace TransferQueue.Control;

/// <summary>
/// The slots of a partition's rows, dense from 0: gives out stretches, takes them back, keeps the highest slot low.
/// </summary>
/// <remarks>
/// Free stretches are maximal, and none ends at <see cref="HighWater"/>: the last slot is always taken. So the neighbour of a
/// taken slot is found in one step. A request gets one stretch where there is one (the lowest of those looked at), else the
/// slots behind the last, else, when more than half of all slots are free, several stretches. Writer thread only.
/// </remarks>
internal sealed class SlotAllocator
{
    private const int Taken = -1;
    private const int Looked = 8;

    /// <summary>Starts of the free stretches, by the binary logarithm of their length.</summary>
    private readonly SortedSet<int>[] _bins = new SortedSet<int>[32];

    /// <summary>At the first slot of a free stretch: its end. At a taken slot: −1. Elsewhere: anything ≥ 0.</summary>
    private int[] _ends = [];

    /// <summary>At the last slot of a free stretch: its start. At a taken slot: −1. Elsewhere: anything ≥ 0.</summary>
    private int[] _starts = [];

    /// <summary>One more than the highest slot that is taken.</summary>
    public int HighWater { get; private set; }

    /// <summary>Slots that are taken.</summary>
    public int TakenCount { get; private set; }

    /// <summary>Whether the slot is taken.</summary>
    public bool IsTaken(int slot) => (uint)slot < (uint)HighWater && _ends[slot] == Taken;

    /// <summary>The next lower taken slot of a taken slot, or −1.</summary>
    public int Previous(int slot) => slot == 0 ? -1 : _starts[slot - 1] == Taken ? slot - 1 : _starts[slot - 1] - 1;

    /// <summary>The next higher taken slot of a taken slot, or −1.</summary>
    public int Next(int slot) => slot + 1 >= HighWater ? -1 : _ends[slot + 1] == Taken ? slot + 1 : _ends[slot + 1];

    /// <summary>Takes <paramref name="count"/> slots and adds their stretches to <paramref name="runs"/>.</summary>
    public void Allocate(int count, List<(int Start, int Count)> runs)
    {
        while (count > 0)
        {
            int start = FindFit(count);
            int length = count;
            if (start < 0 && HighWater + (long)count > 2L * (TakenCount + (long)count) + 64)
                (start, length) = Largest();
            if (start < 0)
                start = HighWater;
            Take(start, length);
            runs.Add((start, length));
            count -= length;
        }
    }

    /// <summary>Gives back <paramref name="count"/> taken slots from <paramref name="start"/> on.</summary>
    public void Free(int start, int count)
    {
        int end = start + count;
        TakenCount -= count;
        _ends.AsSpan(start, count).Clear();
        _starts.AsSpan(start, count).Clear();
        if (start > 0 && _starts[start - 1] != Taken)
        {
            int left = _starts[start - 1];
            RemoveRun(left, start);
            start = left;
        }
        if (end < HighWater && _ends[end] != Taken)
        {
            int right = _ends[end];
            RemoveRun(end, right);
            end = right;
        }
        if (end == HighWater)
            HighWater = start;
        else
            AddRun(start, end);
    }

    private void Take(int start, int count)
    {
        int end = start + count;
        if (start < HighWater)
        {
            int runEnd = _ends[start];
            RemoveRun(start, runEnd);
            if (end < runEnd)
                AddRun(end, runEnd);
        }
        else
        {
            HighWater = end;
            Grow(end);
        }
        _ends.AsSpan(start, count).Fill(Taken);
        _starts.AsSpan(start, count).Fill(Taken);
        TakenCount += count;
    }

    /// <summary>The lowest start among the stretches looked at that hold <paramref name="count"/> slots; −1 if none.</summary>
    private int FindFit(int count)
    {
        int first = BitOperations.Log2((uint)count);
        int best = -1;
        for (int bin = first; bin < _bins.Length; bin++)
        {
            if (_bins[bin] is not { Count: > 0 } starts)
                continue;
            int found = bin > first ? starts.Min : FirstThatFits(starts, count);
            if (found >= 0 && (best < 0 || found < best))
                best = found;
        }
        return best;
    }

    private int FirstThatFits(SortedSet<int> starts, int count)
    {
        int looked = 0;
        foreach (int start in starts)
        {
            if (_ends[start] - start >= count)
                return start;
            if (++looked == Looked)
                break;
        }
        return -1;
    }

    private (int Start, int Length) Largest()
    {
        for (int bin = _bins.Length - 1; bin >= 0; bin--)
        {
            if (_bins[bin] is { Count: > 0 } starts)
                return (starts.Min, _ends[starts.Min] - starts.Min);
        }
        return (-1, 0);
    }

    private void AddRun(int start, int end)
    {
        _ends[start] = end;
        _starts[end - 1] = start;
        (_bins[BitOperations.Log2((uint)(end - start))] ??= []).Add(start);
    }

    private void RemoveRun(int start, int end) => _bins[BitOperations.Log2((uint)(end - start))].Remove(start);

    private void Grow(int slots)
    {
        if (slots <= _ends.Length)
            return;
        int size = Math.Max(64, Math.Max(slots, _ends.Length * 2));
        Array.Resize(ref _ends, size);
        Array.Resize(ref _starts, size);
    }
}

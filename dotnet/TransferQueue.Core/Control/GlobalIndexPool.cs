namespace TransferQueue.Control;

/// <summary>
/// The identities of rows, one pool for all partitions: what was released first is given out first, only then new numbers.
/// </summary>
/// <remarks>
/// Each index carries a generation, which changes when it is released, so that a batch which outlived a clear can be told from
/// the next owner's. Writer thread only.
/// </remarks>
internal sealed class GlobalIndexPool
{
    private readonly Queue<(long Start, long Count)> _free = new();
    private uint[] _generations = [];

    /// <summary>The first of <see cref="_free"/>'s head that is not given out yet, counted from its start.</summary>
    private long _taken;

    /// <summary>Indexes that were given out and came back.</summary>
    public long FreeCount { get; private set; }

    /// <summary>The smallest index that was never given out.</summary>
    public long Next { get; private set; }

    /// <summary>The stretches that wait to be given out again, in order.</summary>
    public IEnumerable<(long Start, long Count)> FreeRuns =>
        _free.Select((run, i) => i == 0 ? (run.Start + _taken, run.Count - _taken) : run);

    /// <summary>The generation of an index, ≥ 1; 0 if it was never given out.</summary>
    public uint Generation(long index) => (ulong)index < (ulong)Next ? _generations[index] : 0;

    /// <summary>Fills <paramref name="indexes"/>: released ones in the order of their release, then new ones.</summary>
    public void Allocate(Span<long> indexes)
    {
        int done = 0;
        while (done < indexes.Length && _free.TryPeek(out var run))
        {
            int count = (int)Math.Min(run.Count - _taken, indexes.Length - done);
            Count(indexes.Slice(done, count), run.Start + _taken);
            done += count;
            _taken += count;
            if (_taken == run.Count)
            {
                _free.Dequeue();
                _taken = 0;
            }
        }
        FreeCount -= done;
        Extend(indexes[done..]);
    }

    /// <summary>Takes indexes back, in ascending order, and changes their generations. Sorts <paramref name="indexes"/>.</summary>
    public void Release(Span<long> indexes)
    {
        if (!IsAscending(indexes))
            indexes.Sort();
        int begin = 0;
        for (int i = 0; i < indexes.Length; i++)
        {
            ref uint generation = ref _generations[indexes[i]];
            generation = generation == uint.MaxValue ? 1 : generation + 1;
            if (i + 1 < indexes.Length && indexes[i + 1] == indexes[i] + 1)
                continue;
            _free.Enqueue((indexes[begin], i + 1 - begin));
            begin = i + 1;
        }
        FreeCount += indexes.Length;
    }

    private void Extend(Span<long> indexes)
    {
        Count(indexes, Next);
        long next = Next + indexes.Length;
        if (next > _generations.Length)
        {
            int grown = checked((int)Math.Max(next, _generations.Length * 2L));
            int old = _generations.Length;
            Array.Resize(ref _generations, grown);
            _generations.AsSpan(old).Fill(1);
        }
        Next = next;
    }

    private static bool IsAscending(ReadOnlySpan<long> indexes)
    {
        for (int i = 1; i < indexes.Length; i++)
        {
            if (indexes[i] < indexes[i - 1])
                return false;
        }
        return true;
    }

    private static void Count(Span<long> indexes, long start)
    {
        for (int i = 0; i < indexes.Length; i++)
            indexes[i] = start + i;
    }
}

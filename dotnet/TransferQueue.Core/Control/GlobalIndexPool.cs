namespace TransferQueue.Control;

/// <summary>
/// The identities of rows, one pool for all partitions: what was released first is given out first, only then new numbers.
/// </summary>
/// <remarks>
/// Each index carries a generation, which changes when it is released, so that a batch which outlived a clear can be told from
/// the next owner's. A pool has a floor of its own, by which its generations begin: a core, and each load of a checkpoint, has another one,
/// so that a batch of a row of another life is told too. A loaded row keeps its generation until it is released. Writer thread only.
/// </remarks>
internal sealed class GlobalIndexPool
{
    /// <summary>Generations of this life are those up to so much above the floor.</summary>
    private const uint LifeSpan = 1 << 20;

    private readonly Queue<(long Start, long Count)> _free = new();
    private readonly uint _floor;
    private uint[] _generations = [];

    /// <summary>The first of <see cref="_free"/>'s head that is not given out yet, counted from its start.</summary>
    private long _taken;

    /// <summary>Makes a pool that has given out nothing.</summary>
    /// <param name="floor">The generation of a new index, > 0.</param>
    public GlobalIndexPool(uint floor = 1) => _floor = Math.Max(1, floor);

    /// <summary>Makes a pool as it was when an image was made, whose free indexes have generations of a new life.</summary>
    public GlobalIndexPool(PoolImage image, uint floor)
        : this(floor)
    {
        Next = image.Next;
        _generations = [.. image.Generations];
        foreach (var (start, count) in image.Free)
        {
            _free.Enqueue((start, count));
            _generations.AsSpan((int)start, (int)count).Fill(_floor);
            FreeCount += count;
        }
    }

    /// <summary>What there is now, copied. Any thread, as long as nothing changes meanwhile.</summary>
    public PoolImage Capture() => new(Next, [.. FreeRuns], _generations.AsSpan(0, (int)Next).ToArray());

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
            generation = Math.Max(1, unchecked(generation - _floor) < LifeSpan ? unchecked(generation + 1) : _floor);
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
            _generations.AsSpan(old).Fill(_floor);
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

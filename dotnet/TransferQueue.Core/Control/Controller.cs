using TransferQueue.Sampling;

namespace TransferQueue.Control;

/// <summary>
/// What there is: partitions, rows, keys, tags, readiness, consumption. It knows where columns lie, but touches no byte of them.
/// </summary>
/// <remarks>
/// Writer thread only. A <c>Plan…</c> checks everything and changes nothing; a <c>Commit…</c> carries a plan out and can't fail.
/// Only the records call <c>Commit…</c>, so that every change is a record.
/// </remarks>
internal sealed partial class Controller
{
    private readonly ControllerOptions _options;
    private ISampler _sampler;
    private OrderedDictionary<string, Partition> _partitions = [];
    private GlobalIndexPool _pool;
    private RowDirectory _directory = new();
    private ChangeClock _clock = new();

    /// <summary>Makes an empty controller.</summary>
    /// <param name="options">How it works.</param>
    /// <param name="sampler">Which ready rows a fetch gets; null: the first ones.</param>
    public Controller(ControllerOptions? options = null, ISampler? sampler = null) =>
        (_options, _sampler, _pool) = (options ?? new(), sampler ?? new SequentialSampler(), new(options?.FirstGeneration ?? 1));

    /// <summary>The partitions in the order of their creation.</summary>
    public IReadOnlyCollection<Partition> Partitions => _partitions.Values;

    /// <summary>The identities of rows.</summary>
    public GlobalIndexPool Pool => _pool;

    /// <summary>Rows of all partitions, pre-allocated ones included.</summary>
    public long RowCount => _directory.RowCount;

    /// <summary>Rows of all partitions that have a cell.</summary>
    public long StoredCount => _directory.StoredCount;

    /// <summary>The partition, or null.</summary>
    public Partition? Find(string partition) => _partitions.GetValueOrDefault(partition);

    private Partition FindOrCreate(string name)
    {
        if (_partitions.TryGetValue(name, out Partition? partition))
            return partition;
        partition = new Partition(name, _pool, _directory, _clock, _options.PreAllocate);
        _partitions.Add(name, partition);
        return partition;
    }
}

/// <summary>How a <see cref="Controller"/> works. Immutable.</summary>
internal sealed record ControllerOptions
{
    private readonly int _preAllocate;

    /// <summary>The generation of indexes that are given out for the first time, > 0, default 1: see <see cref="GlobalIndexPool"/>.</summary>
    public uint FirstGeneration { get; init; } = 1;

    /// <summary>
    /// Rows that a new partition has from the start, unready, so that a consumer which asks whether all is consumed doesn't stop
    /// before the first put; new rows are taken from them first. ≥ 0, default 0.
    /// </summary>
    public int PreAllocate
    {
        get => _preAllocate;
        init => _preAllocate = value >= 0 ? value : throw new InvalidArgumentException($"controller: PreAllocate is {value}; it must be 0 or more");
    }
}

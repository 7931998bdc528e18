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
    private readonly OrderedDictionary<string, Partition> _partitions = [];
    private readonly GlobalIndexPool _pool = new();
    private readonly RowDirectory _directory = new();
    private readonly ControllerOptions _options;
    private readonly ISampler _sampler;
    private readonly ChangeClock _clock = new();

    /// <summary>Makes an empty controller.</summary>
    /// <param name="options">How it works.</param>
    /// <param name="sampler">Which ready rows a fetch gets; null: the first ones.</param>
    public Controller(ControllerOptions? options = null, ISampler? sampler = null) =>
        (_options, _sampler) = (options ?? new(), sampler ?? new SequentialSampler());

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

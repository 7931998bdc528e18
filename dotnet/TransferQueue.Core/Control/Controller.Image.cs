namespace TransferQueue.Control;

internal sealed partial class Controller
{
    /// <summary>Versions of a loaded state begin at a multiple of this, beyond all that were ever handed out, so that no listing of the state before is continued.</summary>
    private const long VersionLeap = 1L << 40;

    /// <summary>What there is now, copied. Any thread, as long as nothing changes meanwhile.</summary>
    public ControllerImage Capture() => new([.. _partitions.Values.Select(partition => partition.Capture())], _pool.Capture());

    /// <summary>Builds what an image holds, beside what there is. Any one thread.</summary>
    /// <param name="image">The image; it can be built once, since its blocks are counted.</param>
    /// <param name="floor">The generation of indexes that are given out from now on, see <see cref="GlobalIndexPool"/>.</param>
    /// <param name="clock">What numbers the changes: <see cref="NextClock"/>.</param>
    public static LoadedState Build(ControllerImage image, uint floor, long clock)
    {
        LoadedState state = new(new GlobalIndexPool(image.Pool, floor), new RowDirectory(), new ChangeClock(clock));
        foreach (PartitionImage partition in image.Partitions)
            state.Partitions.Add(partition.Name, new Partition(partition, state.Pool, state.Directory, state.Clock));
        return state;
    }

    /// <summary>Where the clock of a state begins that is loaded next.</summary>
    public long NextClock => (_clock.Now / VersionLeap + 1) * VersionLeap;

    /// <summary>Puts a state in the place of what there is, in one step however much it is.</summary>
    /// <returns>What was there, whose columns are to be released.</returns>
    internal IReadOnlyCollection<Partition> CommitLoad(LoadedState state)
    {
        IReadOnlyCollection<Partition> before = _partitions.Values;
        (_partitions, _pool, _directory, _clock) = (state.Partitions, state.Pool, state.Directory, state.Clock);
        return before;
    }
}

/// <summary>A state that was built from an image and is not yet in use.</summary>
/// <param name="Pool">Identities.</param>
/// <param name="Directory">Where each row is.</param>
/// <param name="Clock">Numbers of changes.</param>
internal sealed record LoadedState(GlobalIndexPool Pool, RowDirectory Directory, ChangeClock Clock)
{
    /// <summary>The partitions in the order of their creation.</summary>
    public OrderedDictionary<string, Partition> Partitions { get; } = [];

    /// <summary>Rows that have a cell.</summary>
    public long StoredCount => Directory.StoredCount;
}

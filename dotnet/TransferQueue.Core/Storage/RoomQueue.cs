namespace TransferQueue.Storage;

/// <summary>
/// Requests that found no room, first come first served. Strictly so for large ones: a newcomer does not pass those that wait, so that a large
/// one is not starved by smaller ones. Those of at most <see cref="SmallBytes"/> pass, so that metrics and tags with small columns flow while a
/// large put waits for somebody to clear. Those that want room in files, and those that want memory alone, are two queues: a full disk stops nobody else.
/// </summary>
/// <remarks>Writer thread only. Who frees memory calls <see cref="Serve"/>, who keeps time <see cref="TakeExpired"/>.</remarks>
internal sealed class RoomQueue
{
    /// <summary>Bytes up to which a request need not wait behind others.</summary>
    public const long SmallBytes = 1 << 20;

    private readonly LinkedList<RoomWaiter> _waiters = [];

    /// <summary>Requests that wait.</summary>
    public int Count => _waiters.Count;

    /// <summary>Bytes that they want.</summary>
    public long Bytes { get; private set; }

    /// <summary>When the next one gives up; long.MaxValue: none waits.</summary>
    public long NextDeadline { get; private set; } = long.MaxValue;

    /// <summary>Whether a new request of so many bytes may be tried at once, or must wait behind others.</summary>
    /// <param name="bytes">What it wants.</param>
    /// <param name="isOffloaded">Whether some of it in files.</param>
    public bool MayPass(long bytes, bool isOffloaded = false) => _waiters.Count == 0 || bytes <= SmallBytes || !HasWaiter(isOffloaded);

    private bool HasWaiter(bool isOffloaded) => _waiters.Any(waiter => waiter.IsOffloaded == isOffloaded);

    /// <summary>Lets a request wait.</summary>
    public void Add(RoomWaiter waiter)
    {
        waiter.Node = _waiters.AddLast(waiter);
        Bytes += waiter.Bytes;
        NextDeadline = Math.Min(NextDeadline, waiter.Deadline);
    }

    /// <summary>Forgets a request whose caller has gone.</summary>
    public void Remove(RoomWaiter waiter)
    {
        if (waiter.Node is not { } node)
            return;
        waiter.Node = null;
        _waiters.Remove(node);
        Bytes -= waiter.Bytes;
        NextDeadline = _waiters.Count == 0 ? long.MaxValue : _waiters.Min(left => left.Deadline);
    }

    /// <summary>Tries those that wait, in their order: up to the first large one that still finds no room, and all small ones.</summary>
    public void Serve()
    {
        (bool isMemoryFull, bool isDiskFull) = (false, false);
        for (LinkedListNode<RoomWaiter>? node = _waiters.First, next; node is not null; node = next)
        {
            next = node.Next;
            ref bool isBlocked = ref node.Value.IsOffloaded ? ref isDiskFull : ref isMemoryFull;
            if (isBlocked && node.Value.Bytes > SmallBytes)
                continue;
            if (node.Value.TryServe())
                Remove(node.Value);
            else
                isBlocked = true;
        }
    }

    /// <summary>Takes out those whose deadline has come.</summary>
    public List<RoomWaiter> TakeExpired(long now)
    {
        List<RoomWaiter> expired = now < NextDeadline ? [] : [.. _waiters.Where(waiter => waiter.Deadline <= now)];
        foreach (RoomWaiter waiter in expired)
            Remove(waiter);
        return expired;
    }

    /// <summary>Those that wait, in their order.</summary>
    public IEnumerable<RoomWaiter> Waiters => _waiters;
}

/// <summary>A request that waits for room.</summary>
/// <param name="bytes">What it wants.</param>
/// <param name="deadline">When it gives up, in milliseconds of the caller's clock.</param>
/// <param name="tryServe">Tries again; false: still no room. Must not throw.</param>
/// <param name="owner">Whom it is for.</param>
/// <param name="isOffloaded">Whether it wants room in files.</param>
internal sealed class RoomWaiter(long bytes, long deadline, Func<bool> tryServe, object owner, bool isOffloaded = false)
{
    /// <summary>What it wants.</summary>
    public long Bytes => bytes;

    /// <summary>When it gives up.</summary>
    public long Deadline => deadline;

    /// <summary>Whether it wants room in files.</summary>
    public bool IsOffloaded => isOffloaded;

    /// <summary>Whom it is for.</summary>
    public object Owner => owner;

    /// <summary>Where it stands; null when it waits no more.</summary>
    internal LinkedListNode<RoomWaiter>? Node { get; set; }

    /// <summary>Tries again.</summary>
    internal bool TryServe() => tryServe();
}

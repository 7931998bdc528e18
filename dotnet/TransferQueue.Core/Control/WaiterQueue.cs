namespace TransferQueue.Control;

/// <summary>
/// The fetches that wait, first come first tried: per partition a queue, over all of them an order of deadlines.
/// </summary>
/// <remarks>A waiter that could be served is not held up by an earlier one that can't. Writer thread only.</remarks>
internal sealed class WaiterQueue
{
    private readonly Dictionary<string, LinkedList<Waiter>> _byPartition = [];
    private readonly SortedSet<(long Deadline, long Number, Waiter Waiter)> _byDeadline =
        new(Comparer<(long Deadline, long Number, Waiter Waiter)>.Create(
            (a, b) => a.Deadline != b.Deadline ? a.Deadline.CompareTo(b.Deadline) : a.Number.CompareTo(b.Number)));

    private readonly Dictionary<Waiter, long> _numbers = [];
    private long _next;

    /// <summary>Waiters.</summary>
    public int Count => _numbers.Count;

    /// <summary>The earliest deadline, or null.</summary>
    public long? NextDeadline => _byDeadline.Count == 0 ? null : _byDeadline.Min.Deadline;

    /// <summary>Puts a waiter at the end of its partition's queue.</summary>
    public void Add(Waiter waiter)
    {
        if (!_byPartition.TryGetValue(waiter.Query.Partition, out LinkedList<Waiter>? queue))
            _byPartition.Add(waiter.Query.Partition, queue = []);
        waiter.Node = queue.AddLast(waiter);
        _numbers.Add(waiter, ++_next);
        _byDeadline.Add((waiter.Deadline, _next, waiter));
    }

    /// <summary>Takes a waiter out; false if it is not in.</summary>
    public bool Remove(Waiter waiter)
    {
        if (!_numbers.Remove(waiter, out long number))
            return false;
        _byDeadline.Remove((waiter.Deadline, number, waiter));
        LinkedList<Waiter> queue = waiter.Node!.List!;
        queue.Remove(waiter.Node);
        waiter.Node = null;
        if (queue.Count == 0)
            _byPartition.Remove(waiter.Query.Partition);
        return true;
    }

    /// <summary>The waiters of a partition, first come first. A copy: they may be removed while it is walked.</summary>
    public Waiter[] Of(string partition) => _byPartition.TryGetValue(partition, out LinkedList<Waiter>? queue) ? [.. queue] : [];

    /// <summary>All waiters, first come first. A copy.</summary>
    public Waiter[] All() => [.. _numbers.OrderBy(pair => pair.Value).Select(pair => pair.Key)];

    /// <summary>Takes out those whose deadline is not later than <paramref name="now"/>.</summary>
    public List<Waiter> TakeExpired(long now)
    {
        List<Waiter> expired = [];
        while (_byDeadline.Count > 0 && _byDeadline.Min is var first && first.Deadline <= now)
        {
            Remove(first.Waiter);
            expired.Add(first.Waiter);
        }
        return expired;
    }

    /// <summary>Takes out those whose owner has gone.</summary>
    public void RemoveOwner(object owner)
    {
        foreach (Waiter waiter in _numbers.Keys.Where(waiter => Equals(waiter.Owner, owner)).ToList())
            Remove(waiter);
    }
}

using System.Diagnostics.CodeAnalysis;
using TransferQueue.Columns;
using TransferQueue.Control;

namespace TransferQueue.Records;

/// <summary>A fetch that waited and has its answer now.</summary>
/// <param name="Waiter">The fetch.</param>
/// <param name="Meta">Its batch; null if it failed.</param>
/// <param name="Error">Why it failed; null if it has a batch.</param>
internal sealed record WokenFetch(Waiter Waiter, BatchMeta? Meta, TransferQueueException? Error);

internal sealed partial class StateMachine
{
    private readonly WaiterQueue _waiters = new();
    private readonly Queue<WokenFetch> _woken = new();
    private readonly Queue<string> _wake = new();
    private bool _isWaking;

    /// <summary>Fetches that wait.</summary>
    public int WaiterCount => _waiters.Count;

    /// <summary>When the next waiting fetch gives up, in the milliseconds that <see cref="Park"/> was given; null: none waits.</summary>
    public long? NextDeadline => _waiters.NextDeadline;

    /// <summary>Hands rows to a task, if enough are ready; else changes nothing.</summary>
    /// <param name="query">What is wanted.</param>
    /// <param name="meta">The batch.</param>
    /// <returns>Whether there were enough.</returns>
    /// <exception cref="InvalidArgumentException">The query can't be right.</exception>
    public bool TryFetch(FetchQuery query, [NotNullWhen(true)] out BatchMeta? meta)
    {
        Controller.Check(query);
        meta = null;
        if (Controller.Pick(query) is not { } pick)
            return false;
        Apply(new FetchRecord(query.Partition, query.Task, pick.Consumed, pick.Fixed));
        meta = Controller.FetchedMeta(pick.Rows, query.Fields);
        return true;
    }

    /// <summary>Keeps a fetch that found too few rows until a change satisfies it; its answer comes from <see cref="TryTakeWoken"/>.</summary>
    /// <param name="query">What it wants.</param>
    /// <param name="deadline">When it gives up, in milliseconds of the caller's clock.</param>
    /// <param name="owner">Whom the answer is for.</param>
    /// <param name="waits">False: it waits only for the word of a sampler elsewhere.</param>
    public Waiter Park(FetchQuery query, long deadline, object? owner, bool waits = true)
    {
        Waiter waiter = new(query, deadline, owner, waits);
        _waiters.Add(waiter);
        if (Controller.IsSamplerHosted)
            AskLater(waiter);
        return waiter;
    }

    /// <summary>Forgets a waiting fetch, whose caller has gone; false if it has its answer already.</summary>
    public bool Cancel(Waiter waiter) => _waiters.Remove(waiter);

    /// <summary>Gives up what waited until <paramref name="now"/>: those answers say what was missing.</summary>
    public void Expire(long now)
    {
        foreach (Waiter waiter in _waiters.TakeExpired(now))
            _woken.Enqueue(new WokenFetch(waiter, null, NotReady(waiter)));
    }

    /// <summary>Takes an answer for a fetch that waited. To be called until false after every change and every <see cref="Expire"/>.</summary>
    public bool TryTakeWoken([NotNullWhen(true)] out WokenFetch? woken) => _woken.TryDequeue(out woken);

    /// <summary>Tries the waiting fetches of the partitions that a record touched, first come first.</summary>
    private void Wake(Record record)
    {
        if (_waiters.Count == 0)
            return;
        foreach (string partition in record.Wakes)
            _wake.Enqueue(partition);
        // A waiter that is served applies a record of its own.
        if (_isWaking)
            return;
        _isWaking = true;
        while (_wake.TryDequeue(out string? partition))
        {
            foreach (Waiter waiter in _waiters.Of(partition))
                Serve(waiter);
        }
        _isWaking = false;
    }

    private void Serve(Waiter waiter)
    {
        if (Controller.IsSamplerHosted)
        {
            AskLater(waiter);
            return;
        }
        try
        {
            if (!TryFetch(waiter.Query, out BatchMeta? meta))
                return;
            _waiters.Remove(waiter);
            _woken.Enqueue(new WokenFetch(waiter, meta, null));
        }
        catch (TransferQueueException error)
        {
            _waiters.Remove(waiter);
            _woken.Enqueue(new WokenFetch(waiter, null, error));
        }
    }
}

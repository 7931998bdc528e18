using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using TransferQueue.Columns;
using TransferQueue.Control;

namespace TransferQueue.Records;

/// <content>
/// Fetches whose rows a sampler of another process picks: every one is parked, and asked about one after the other, since such a
/// sampler has a state. What it picked is handed out if it still can be, else it is asked again.
/// </content>
internal sealed partial class StateMachine
{
    private readonly Queue<Waiter> _unasked = new();

    /// <summary>The fetch that the sampler is asked about; null: none.</summary>
    private Waiter? _asked;

    /// <summary>The rows that it was offered, ascending.</summary>
    private long[] _offered = [];

    /// <summary>Batches handed out: with each the sampler may have fixed others.</summary>
    private long _picks;

    /// <summary>Takes the next question; to be called only when the last one was answered, or failed.</summary>
    /// <returns>False: there is none now.</returns>
    public bool TryAsk([NotNullWhen(true)] out SampleQuestion? question)
    {
        while (_asked is null && _unasked.TryDequeue(out Waiter? waiter))
        {
            waiter.IsQueued = false;
            if (waiter.Node is null)
                continue;
            long[] offered = Controller.Offer(waiter.Query);
            // With too few rows it can only have a batch that it fixed before, and only if it was asked something since.
            bool mayHave = Controller.Find(waiter.Query.Partition) is not null && waiter.AskedAt != _picks;
            if (offered.Length < waiter.Query.BatchSize && !mayHave)
            {
                GiveNothing(waiter);
                continue;
            }
            waiter.AskedAt = _picks;
            (_asked, _offered) = (waiter, offered);
            question = new SampleQuestion(waiter.Query, offered);
            return true;
        }
        question = null;
        return false;
    }

    /// <summary>Hands out what the sampler picked; its fetch may have ended meanwhile, then nothing happens.</summary>
    /// <param name="sampled">The batch's rows; empty: there is no batch.</param>
    /// <param name="consumed">Those that the task does not get again.</param>
    public void Answer(ImmutableArray<long> sampled, ImmutableArray<long> consumed)
    {
        if (TakeAsked() is not { } waiter)
            return;
        if (sampled.IsEmpty)
        {
            GiveNothing(waiter);
            return;
        }
        try
        {
            Verdict verdict = Controller.Accept(waiter.Query, _offered, sampled, consumed, out FetchPick? pick);
            if (verdict == Verdict.Outdated)
                AskLater(waiter);
            else if (verdict == Verdict.Accepted)
                HandOut(waiter, pick!);
            else
            {
                waiter.AskedAt = Waiter.AskAgain;
                GiveNothing(waiter);
            }
        }
        catch (TransferQueueException error)
        {
            End(waiter, null, error);
        }
    }

    /// <summary>Ends the fetch that the sampler was asked about with an error.</summary>
    public void FailQuestion(TransferQueueException error)
    {
        if (TakeAsked() is { } waiter)
            End(waiter, null, error);
    }

    private Waiter? TakeAsked()
    {
        Waiter? waiter = _asked;
        _asked = null;
        return waiter?.Node is null ? null : waiter;
    }

    private void AskLater(Waiter waiter)
    {
        if (waiter.IsQueued)
            return;
        waiter.IsQueued = true;
        _unasked.Enqueue(waiter);
    }

    private void GiveNothing(Waiter waiter)
    {
        if (!waiter.Waits)
            End(waiter, BatchMeta.Empty, null);
    }

    private void HandOut(Waiter waiter, FetchPick pick)
    {
        _picks++;
        Apply(new FetchRecord(waiter.Query.Partition, waiter.Query.Task, pick.Consumed, []));
        End(waiter, Controller.FetchedMeta(pick.Rows, waiter.Query.Fields), null);
        foreach (Waiter other in _waiters.Of(waiter.Query.Partition))
            AskLater(other);
    }

    private void End(Waiter waiter, BatchMeta? meta, TransferQueueException? error)
    {
        _waiters.Remove(waiter);
        _woken.Enqueue(new WokenFetch(waiter, meta, error));
    }

    /// <summary>What a fetch is told at its deadline if its sampler is elsewhere.</summary>
    private NotReadyException NotReady(Waiter waiter)
    {
        NotReadyException plain = Controller.NotReady(waiter.Query);
        if (!Controller.IsSamplerHosted)
            return plain;
        string state = waiter == _asked ? "has not answered yet" : waiter.AskedAt == Waiter.NeverAsked ? "was not asked yet: its process starts, or is busy" : "found no batch";
        return new NotReadyException($"{plain.Message}; the sampler {Controller.SamplerName} {state}");
    }
}

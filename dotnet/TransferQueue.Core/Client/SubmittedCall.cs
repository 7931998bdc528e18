namespace TransferQueue.Client;

/// <summary>A request whose outcome, an answer or an error, waits here after its ticket was posted to a queue, exactly once.</summary>
/// <remarks>Any thread. Completing, cancelling, taking take no lock. Dispose drops the outcome, now or when it comes.</remarks>
internal abstract class SubmittedCall : IDisposable
{
    private static readonly object Taken = new();
    private static readonly Exception CancelledHere = new InvalidArgumentException("request: it was cancelled; nobody waits for its answer");

    private readonly CompletionQueue _queue;

    /// <summary>Null, then a ClientReply or an Exception, then <see cref="Taken"/>. Changed by Interlocked only.</summary>
    private object? _outcome;

    /// <summary>Makes a call that reports to <paramref name="queue"/>.</summary>
    protected SubmittedCall(CompletionQueue queue) => _queue = queue;

    /// <summary>What the queue reports; set once, before the call starts.</summary>
    public long Ticket { get; set; }

    /// <summary>Whether there is an outcome already.</summary>
    public bool IsCompleted => Volatile.Read(ref _outcome) is not null;

    /// <summary>Takes the outcome: once, after the ticket was reported.</summary>
    /// <returns>The answer, the caller's.</returns>
    /// <exception cref="TransferQueueException">The outcome is an error, or there is none to take.</exception>
    public ClientReply TakeReply() => Interlocked.Exchange(ref _outcome, Taken) switch
    {
        ClientReply reply => reply,
        Exception error => throw error,
        _ => throw new InvalidArgumentException($"ticket {Ticket}: it has no result to take; wait until its queue reports it, and take it once"),
    };

    /// <summary>Nobody wants the answer any more. The ticket is reported as soon as the caller's memory is free.</summary>
    public abstract void Cancel();

    /// <inheritdoc/>
    public void Dispose() => (Interlocked.Exchange(ref _outcome, Taken) as IDisposable)?.Dispose();

    /// <summary>Sets the outcome and reports the ticket, unless that was done before.</summary>
    /// <param name="outcome">A ClientReply, which becomes this call's, or an Exception.</param>
    internal void Complete(object outcome)
    {
        if (Interlocked.CompareExchange(ref _outcome, outcome, null) is null)
            _queue.Post(Ticket);
        else
            (outcome as IDisposable)?.Dispose();
    }

    /// <summary>Completes the call as cancelled.</summary>
    protected void CompleteCancelled() => Complete(CancelledHere);
}

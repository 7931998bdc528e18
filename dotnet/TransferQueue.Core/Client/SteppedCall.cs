namespace TransferQueue.Client;

/// <summary>Something asked of the core that the calling thread takes to its end in steps, so that it can look up in between.</summary>
/// <remarks>One thread at a time. Dispose abandons a call that has not ended.</remarks>
internal abstract class SteppedCall : IDisposable
{
    /// <summary>A step of a thread that has nothing to look up for; the call's own deadline ends it.</summary>
    private static readonly TimeSpan LongStep = TimeSpan.FromSeconds(10);

    /// <summary>Goes on.</summary>
    /// <param name="wait">How long, about.</param>
    /// <returns>The answer, the caller's, which may be an ERROR; null if it is not there yet.</returns>
    /// <exception cref="TransferQueueException">There will be no answer; the call has ended.</exception>
    public ClientReply? Step(TimeSpan wait)
    {
        ClientReply? reply = null;
        try
        {
            reply = Go(wait);
            if (reply is not null)
                Complete(reply);
            return reply;
        }
        catch
        {
            reply?.Dispose();
            Dispose();
            throw;
        }
    }

    /// <summary>Takes it to its end.</summary>
    /// <returns>The answer, the caller's, which may be an ERROR.</returns>
    /// <exception cref="TransferQueueException">There will be no answer; the call has ended.</exception>
    public ClientReply Finish()
    {
        while (true)
            if (Step(LongStep) is { } reply)
                return reply;
    }

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Does a step; null if the answer is not there yet.</summary>
    protected abstract ClientReply? Go(TimeSpan wait);

    /// <summary>The answer is there: makes it fit for the caller, and ends the call.</summary>
    protected abstract void Complete(ClientReply reply);
}

namespace TransferQueue.Client;

/// <summary>Something asked of the core that the calling thread takes to its end in steps, so that it can look up in between.</summary>
/// <remarks>One thread at a time. Dispose abandons a call that has not ended.</remarks>
internal abstract class SteppedCall : IDisposable
{
    /// <summary>Goes on.</summary>
    /// <param name="wait">How long, about.</param>
    /// <returns>The answer, the caller's, which may be an ERROR; null if it is not there yet.</returns>
    /// <exception cref="TransferQueueException">There will be no answer; the call has ended.</exception>
    public abstract ClientReply? Step(TimeSpan wait);

    /// <inheritdoc/>
    public abstract void Dispose();
}

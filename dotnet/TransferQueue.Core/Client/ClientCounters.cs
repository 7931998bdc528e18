namespace TransferQueue.Client;

/// <summary>What a session has done so far; for tests and diagnosis. Any thread; each count is exact, together they are no snapshot.</summary>
internal sealed class ClientCounters
{
    private long _requestsSent;
    private long _framesSent;
    private long _framesReceived;
    private long _connectionsMade;
    private long _repeats;

    /// <summary>Requests handed to a connection whole, repeats included.</summary>
    public long RequestsSent => Volatile.Read(ref _requestsSent);

    /// <summary>Payload frames of them.</summary>
    public long FramesSent => Volatile.Read(ref _framesSent);

    /// <summary>Payload frames of replies.</summary>
    public long FramesReceived => Volatile.Read(ref _framesReceived);

    /// <summary>Connections whose handshake succeeded.</summary>
    public long ConnectionsMade => Volatile.Read(ref _connectionsMade);

    /// <summary>Requests that were sent again because their connection ended.</summary>
    public long Repeats => Volatile.Read(ref _repeats);

    internal void CountSent(int frames)
    {
        Interlocked.Increment(ref _requestsSent);
        Interlocked.Add(ref _framesSent, frames);
    }

    internal void CountReceived(int frames) => Interlocked.Add(ref _framesReceived, frames);

    internal void CountConnection() => Interlocked.Increment(ref _connectionsMade);

    internal void CountRepeat() => Interlocked.Increment(ref _repeats);
}

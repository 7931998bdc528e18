namespace TransferQueue.Client;

/// <summary>What a session has done so far; for tests and diagnosis. Any thread; each count is exact, together they are no snapshot.</summary>
internal sealed class ClientCounters
{
    private long _requestsSent;
    private long _framesSent;
    private long _framesReceived;
    private long _connectionsMade;
    private long _repeats;
    private long _framesPlaced;
    private long _bytesCopied;
    private long _framesMoved;
    private long _framesViewed;
    private long _bytesViewed;
    private long _framesAliased;
    private long _leasesOut;

    /// <summary>What all sessions of this process have done; replies, connections and repeats only a session counts.</summary>
    public static ClientCounters Process { get; } = new();

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

    /// <summary>Frames that were copied into shared memory, each once.</summary>
    public long FramesPlaced => Volatile.Read(ref _framesPlaced);

    /// <summary>Bytes of them.</summary>
    public long BytesCopied => Volatile.Read(ref _bytesCopied);

    /// <summary>Frames that were put where they had been computed.</summary>
    public long FramesMoved => Volatile.Read(ref _framesMoved);

    /// <summary>Frames of replies that were not copied.</summary>
    public long FramesViewed => Volatile.Read(ref _framesViewed);

    /// <summary>Bytes of them.</summary>
    public long BytesViewed => Volatile.Read(ref _bytesViewed);

    /// <summary>Frames of replies that were copied because a live view has a page of them, or because the process was about to fork.</summary>
    public long FramesAliased => Volatile.Read(ref _framesAliased);

    /// <summary>Leases that somebody looks at.</summary>
    public long LeasesOut => Volatile.Read(ref _leasesOut);

    internal void CountCopies(int frames, long bytes)
    {
        Interlocked.Add(ref _framesPlaced, frames);
        Interlocked.Add(ref _bytesCopied, bytes);
        Whole?.CountCopies(frames, bytes);
    }

    internal void CountMoved(int frames)
    {
        Interlocked.Add(ref _framesMoved, frames);
        Whole?.CountMoved(frames);
    }

    internal void CountView(long bytes)
    {
        Interlocked.Increment(ref _framesViewed);
        Interlocked.Add(ref _bytesViewed, bytes);
        Whole?.CountView(bytes);
    }

    internal void CountAlias()
    {
        Interlocked.Increment(ref _framesAliased);
        Whole?.CountAlias();
    }

    internal void CountLease(int more)
    {
        Interlocked.Add(ref _leasesOut, more);
        Whole?.CountLease(more);
    }

    /// <summary>The process's count, unless this is it.</summary>
    private ClientCounters? Whole => this == Process ? null : Process;

    internal void CountSent(int frames)
    {
        Whole?.CountSent(frames);
        Interlocked.Increment(ref _requestsSent);
        Interlocked.Add(ref _framesSent, frames);
    }

    internal void CountReceived(int frames) => Interlocked.Add(ref _framesReceived, frames);

    internal void CountConnection() => Interlocked.Increment(ref _connectionsMade);

    internal void CountRepeat() => Interlocked.Increment(ref _repeats);
}

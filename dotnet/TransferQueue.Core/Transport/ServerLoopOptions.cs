namespace TransferQueue.Transport;

/// <summary>How a <see cref="ServerLoop"/> serves. Immutable.</summary>
internal sealed record ServerLoopOptions
{
    /// <summary>A listening, non-blocking Unix socket, owned by the caller; −1: none, connections are adopted.</summary>
    public int ListenFd { get; init; } = -1;

    /// <summary>Limits of messages.</summary>
    public TransportLimits Limits { get; init; } = TransportLimits.Default;

    /// <summary>Threads that move payload. Default 2.</summary>
    public int MoverThreads { get; init; } = 2;

    /// <summary>Threads for <see cref="ServerLoop.RunOnWorker"/>. Default 2.</summary>
    public int WorkerThreads { get; init; } = 2;

    /// <summary>Connections at once; further ones are closed as they come. Default 8192.</summary>
    public int MostConnections { get; init; } = 8192;

    /// <summary>How long a new connection may be silent before its first whole header. Default 10 s.</summary>
    public TimeSpan FirstMessageLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a payload may stand still on its way in. Default 5 min: a process under a debugger is no enemy.</summary>
    public TimeSpan PayloadStallLimit { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a connection that is to be closed may take to read its last replies. Default 5 s.</summary>
    public TimeSpan CloseLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Bytes that may wait for a connection's reader, behind the message that is on its way, when a further one is sent to it; over it the connection is
    /// cut off. A single message of any length always passes. Default 1 GiB.
    /// </summary>
    public long MostPendingBytes { get; init; } = 1L << 30;

    /// <summary>Messages that may wait likewise. Default 16384.</summary>
    public int MostPendingMessages { get; init; } = 16384;

    /// <summary>The user that may connect. Default: this process' effective user.</summary>
    public uint AllowedUid { get; init; } = Native.LibcSockets.geteuid();
}

namespace TransferQueue.Hosting;

/// <summary>A server whose threads run in this process. Any thread.</summary>
internal interface IRunningServer
{
    /// <summary>What it tells about itself when it has started: a packed map (wire.md 5). Default: empty.</summary>
    ReadOnlySpan<byte> Answer => [0x80];

    /// <summary>Waits until it has ended.</summary>
    /// <param name="limit">How long at most.</param>
    /// <returns>Whether it has ended.</returns>
    bool Wait(TimeSpan limit);

    /// <summary>Asks it to end and waits for that; a second call does nothing.</summary>
    void Stop();
}

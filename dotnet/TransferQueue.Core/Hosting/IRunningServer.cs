namespace TransferQueue.Hosting;

/// <summary>A server whose threads run in this process. Any thread.</summary>
internal interface IRunningServer
{
    /// <summary>Waits until it has ended.</summary>
    /// <param name="limit">How long at most.</param>
    /// <returns>Whether it has ended.</returns>
    bool Wait(TimeSpan limit);

    /// <summary>Asks it to end and waits for that; a second call does nothing.</summary>
    void Stop();
}

namespace TransferQueue.Transport;

/// <summary>A few threads of its own for work that the loop must not do: gathers, files. Started when first needed. Thread-safe.</summary>
internal sealed class WorkerPool(int threads, string name) : IDisposable
{
    private readonly Lock _start = new();
    private readonly System.Collections.Concurrent.BlockingCollection<Action> _work = [];
    private readonly List<Thread> _threads = [];

    /// <summary>Queues work, which must catch its own exceptions.</summary>
    public void Run(Action work)
    {
        lock (_start)
            if (_threads.Count < threads)
                StartThread();
        _work.Add(work);
    }

    /// <summary>Finishes what was queued and ends the threads.</summary>
    public void Dispose()
    {
        _work.CompleteAdding();
        foreach (Thread thread in _threads)
            thread.Join();
        _work.Dispose();
    }

    private void StartThread()
    {
        var thread = new Thread(Serve) { IsBackground = true, Name = $"{name}-{_threads.Count}" };
        _threads.Add(thread);
        thread.Start();
    }

    private void Serve()
    {
        foreach (Action work in _work.GetConsumingEnumerable())
            work();
    }
}

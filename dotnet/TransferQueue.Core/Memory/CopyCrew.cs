namespace TransferQueue.Memory;

/// <summary>
/// A second thread for large copies. It sleeps until somebody asks, helps one copy at a time, and is not waited for when it comes
/// late. There is none on a machine with one processor.
/// </summary>
/// <remarks>Thread-safe. The thread is a background thread and starts with the first request.</remarks>
internal static class CopyCrew
{
    private static readonly SemaphoreSlim Wanted = new(0);
    private static readonly Lock Gate = new();
    private static BulkCopy? _asking;
    private static bool _hasThread;

    /// <summary>Whether anybody can help here.</summary>
    public static bool IsUseful { get; } = Environment.ProcessorCount > 1;

    /// <summary>Asks for help; false if it is somewhere else already.</summary>
    public static bool TryAsk(BulkCopy copy)
    {
        if (Interlocked.CompareExchange(ref _asking, copy, null) is not null)
            return false;
        Start();
        Wanted.Release();
        return true;
    }

    private static void Start()
    {
        lock (Gate)
        {
            if (_hasThread)
                return;
            _hasThread = true;
            new Thread(Help) { IsBackground = true, Name = "TransferQueue copies" }.UnsafeStart();
        }
    }

    private static void Help()
    {
        while (true)
        {
            Wanted.Wait();
            BulkCopy copy = _asking!;
            copy.Help();
            Volatile.Write(ref _asking, null);
        }
    }
}

using System.Collections.Concurrent;
using TransferQueue.Client;
using TransferQueue.Memory;

namespace TransferQueue.Interop;

/// <summary>
/// Disposes what Python gave back, somewhere else: giving back happens in finalizers with the GIL held and must not wait for the
/// pool's lock or for the system.
/// </summary>
/// <remarks>Thread-safe. The next call that may wait disposes the queue; a pool thread does it when much has gathered or it is urgent.</remarks>
internal static class Reclaimer
{
    /// <summary>Bytes that may gather.</summary>
    private const long MostBytes = 64 << 20;

    private static readonly ConcurrentQueue<IDisposable> Returned = new();

    /// <summary>Frames in shared memory: their pages must be dropped before the next answer may be seen there without a copy.</summary>
    private static readonly ConcurrentQueue<LeasedFrame> Views = new();
    private static readonly Lock ViewGate = new();
    private static long _bytes;
    private static int _isScheduled;

    /// <summary>Takes an object to dispose soon. Never waits.</summary>
    public static void Add(IDisposable value)
    {
        if (value is LeasedFrame view)
        {
            Views.Enqueue(view);
            Schedule(); // others wait for this memory
            return;
        }
        Returned.Enqueue(value);
        bool isMemory = value is NativeBuffer or ReplyHead or NativeBlock;
        if (!isMemory || Interlocked.Add(ref _bytes, BytesOf(value)) > MostBytes)
            Schedule();
    }

    /// <summary>Disposes all that has gathered. Not with the GIL held.</summary>
    public static void Run()
    {
        while (Returned.TryDequeue(out IDisposable? value))
        {
            Interlocked.Add(ref _bytes, -BytesOf(value));
            value.Dispose();
        }
    }

    /// <summary>Disposes all views that have gathered, and waits for those that another thread is about to dispose. Not with the GIL held.</summary>
    public static void RunViews()
    {
        lock (ViewGate)
            while (Views.TryDequeue(out LeasedFrame? view))
                view.Dispose();
    }

    private static long BytesOf(IDisposable value) => (value as NativeBuffer)?.CapacityBytes ?? 0;

    private static void Schedule()
    {
        if (Interlocked.Exchange(ref _isScheduled, 1) != 0)
            return;
        ThreadPool.UnsafeQueueUserWorkItem(
            static _ =>
            {
                Volatile.Write(ref _isScheduled, 0);
                Run();
                if (!Views.IsEmpty)
                    RunViews();
            },
            null);
    }
}

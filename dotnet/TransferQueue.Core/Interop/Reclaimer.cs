using System.Collections.Concurrent;
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
    private static long _bytes;
    private static int _isScheduled;

    /// <summary>Takes an object to dispose soon. Never waits.</summary>
    public static void Add(IDisposable value)
    {
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
            },
            null);
    }
}

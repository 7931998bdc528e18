using System.Numerics;
using NetMQ;

namespace TransferQueue.Transport;

/// <summary>
/// Recycles the managed arrays of NetMQ's messages: size classes of a quarter of a power of two, newest first, a bounded sum of kept bytes. Its arrays
/// never move, so that a Unix socket can read and write them in place. A first, unpooled pass of NetMQ runs at a fraction of a recycled one's rate.
/// </summary>
/// <remarks>Thread-safe; one lock guards all fields. One pool serves the process, because NetMQ has one place for it.</remarks>
internal sealed class RecycledBufferPool : IBufferPool
{
    private const int SmallestBytes = 256;
    private const int ClassCount = 4 * 24;
    private static readonly Lazy<RecycledBufferPool> Shared = new(Install);

    private readonly Lock _gate = new();
    private readonly Stack<byte[]>?[] _kept = new Stack<byte[]>?[ClassCount];
    private readonly long _mostKeptBytes;

    /// <summary>Makes a pool that keeps at most so many unused bytes.</summary>
    public RecycledBufferPool(long mostKeptBytes) => _mostKeptBytes = mostKeptBytes;

    /// <summary>The process' pool, given to NetMQ when first asked for. It keeps a quarter of what the managed heap may have, 512 MiB at most.</summary>
    public static RecycledBufferPool Installed => Shared.Value;

    /// <summary>Bytes that are kept unused.</summary>
    public long KeptBytes { get; private set; }

    /// <summary>Arrays that were ever made; stands still in a steady state.</summary>
    public long CreatedCount { get; private set; }

    /// <inheritdoc/>
    public byte[] Take(int size)
    {
        int sizeClass = ClassOf(size);
        lock (_gate)
        {
            if (_kept[sizeClass]?.TryPop(out byte[]? kept) ?? false)
            {
                KeptBytes -= kept.Length;
                return kept;
            }
            CreatedCount++;
        }
        return GC.AllocateUninitializedArray<byte>(BytesOf(sizeClass), pinned: true);
    }

    /// <inheritdoc/>
    public void Return(byte[] buffer)
    {
        int sizeClass = ClassOf(buffer.Length);
        if (BytesOf(sizeClass) != buffer.Length)
            return; // not one of ours
        lock (_gate)
        {
            if (KeptBytes + buffer.Length > _mostKeptBytes)
                DropOthers(sizeClass, buffer.Length);
            if (KeptBytes + buffer.Length > _mostKeptBytes)
                return;
            KeptBytes += buffer.Length;
            (_kept[sizeClass] ??= new Stack<byte[]>()).Push(buffer);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            Array.Clear(_kept);
            KeptBytes = 0;
        }
    }

    private static RecycledBufferPool Install()
    {
        var pool = new RecycledBufferPool(Math.Min(512L << 20, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4));
        BufferPool.SetCustomBufferPool(pool);
        return pool;
    }

    /// <summary>Makes room by giving up arrays of other sizes: what comes back now is what the job works with now.</summary>
    private void DropOthers(int sizeClass, int bytes)
    {
        for (int other = 0; other < ClassCount && KeptBytes + bytes > _mostKeptBytes; other++)
            while (other != sizeClass && KeptBytes + bytes > _mostKeptBytes && (_kept[other]?.TryPop(out byte[]? dropped) ?? false))
                KeptBytes -= dropped.Length;
    }

    private static int ClassOf(int bytes)
    {
        if (bytes <= SmallestBytes)
            return 0;
        int power = BitOperations.Log2((uint)(bytes - 1));
        return (power - 8) * 4 + ((bytes - 1) >> (power - 2)) - 4 + 1;
    }

    private static int BytesOf(int sizeClass) => sizeClass == 0
        ? SmallestBytes
        : (int)Math.Min(Array.MaxLength, ((long)SmallestBytes >> 2 << ((sizeClass - 1) / 4)) * ((sizeClass - 1) % 4 + 5));
}

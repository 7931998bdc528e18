using System.Numerics;
using System.Runtime.InteropServices;
using TransferQueue.Memory.Native;

namespace TransferQueue.Memory;

/// <summary>
/// Recycles native buffers: four size classes per power of two, newest first, a bounded sum of kept bytes; over it the longest
/// unused ones go back to the system, of whatever class. Touched memory is worth keeping: the first touch of fresh pages runs at a tenth of a warm copy.
/// </summary>
/// <remarks>Thread-safe. A lock guards all fields; no call to the system is made under it but those that give memory back.</remarks>
internal sealed unsafe class NativeBufferPool : IDisposable
{
    /// <summary>The smallest buffer.</summary>
    public const long SmallestBytes = 256;

    /// <summary>From here on memory comes in pages of its own from the system, in huge ones if it has them.</summary>
    private const long MappedBytes = 1 << 20;

    /// <summary>How many classes above the wanted one may serve it: at most twice the wanted size.</summary>
    private const int ClassesAbove = 3;
    private const int ClassCount = 4 * 56;

    private readonly Lock _gate = new();
    private readonly NativeBuffer?[] _newest = new NativeBuffer?[ClassCount];
    private readonly long _mostKeptBytes;
    private NativeBuffer? _oldestKept;
    private NativeBuffer? _newestKept;
    private bool _isDisposed;

    /// <summary>Makes a pool.</summary>
    /// <param name="mostKeptBytes">Bytes that it may keep unused; 0 keeps nothing. Default 1 GiB.</param>
    public NativeBufferPool(long mostKeptBytes = 1L << 30) => _mostKeptBytes = mostKeptBytes;

    /// <summary>Buffers on loan.</summary>
    public int OutCount { get; private set; }

    /// <summary>Bytes on loan, with their rounding.</summary>
    public long OutBytes { get; private set; }

    /// <summary>Bytes that are kept unused.</summary>
    public long KeptBytes { get; private set; }

    /// <summary>Buffers ever taken from the system; stands still in a steady state.</summary>
    public long CreatedCount { get; private set; }

    /// <summary>Lends a buffer; its contents are whatever was there.</summary>
    /// <param name="bytes">Wanted bytes, 0 or more.</param>
    /// <exception cref="StorageFullException">The system has no memory.</exception>
    public NativeBuffer Rent(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        int sizeClass = ClassOf(bytes);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            for (int i = sizeClass; i <= sizeClass + ClassesAbove && i < ClassCount; i++)
                if (_newest[i] is { } kept)
                {
                    Unlink(kept);
                    return Lend(kept, bytes);
                }
        }
        long capacity = BytesOf(sizeClass);
        var buffer = new NativeBuffer(this, AllocateMemory(capacity), capacity, sizeClass);
        lock (_gate)
        {
            CreatedCount++;
            return Lend(buffer, bytes);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true; // what is on loan is freed when it comes back
            while (_oldestKept is { } oldest)
                Discard(oldest);
        }
    }

    internal void Return(NativeBuffer buffer)
    {
        lock (_gate)
        {
            if (!buffer.IsOut)
                throw new TransferQueueException(ErrorKind.TransferQueue, $"buffer pool: a buffer of {buffer.CapacityBytes} bytes came back twice");
            buffer.IsOut = false;
            OutCount--;
            OutBytes -= buffer.CapacityBytes;
            Link(buffer);
            while (_oldestKept is { } oldest && (_isDisposed || KeptBytes > _mostKeptBytes))
                Discard(oldest);
        }
    }

    private static int ClassOf(long bytes)
    {
        if (bytes <= SmallestBytes)
            return 0;
        int power = BitOperations.Log2((ulong)(bytes - 1)); // classes end at 2^power × (5, 6, 7, 8)/4
        return (power - 8) * 4 + (int)((bytes - 1) >> (power - 2)) - 4 + 1;
    }

    private static long BytesOf(int sizeClass) =>
        sizeClass == 0 ? SmallestBytes : (SmallestBytes >> 2 << ((sizeClass - 1) / 4)) * ((sizeClass - 1) % 4 + 5);

    private static byte* AllocateMemory(long bytes)
    {
        if (bytes < MappedBytes)
            return (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        void* map = Libc.mmap(null, (nuint)bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (map == Libc.MAP_FAILED)
            throw Errno.ToException($"buffer pool: {bytes} bytes asked");
        _ = Libc.madvise(map, (nuint)bytes, Libc.MADV_HUGEPAGE); // a wish: kernels without huge pages refuse it
        return (byte*)map;
    }

    private static void FreeMemory(NativeBuffer buffer)
    {
        if (buffer.CapacityBytes < MappedBytes)
            NativeMemory.AlignedFree(buffer.Address);
        else
            _ = Libc.munmap(buffer.Address, (nuint)buffer.CapacityBytes);
    }

    private NativeBuffer Lend(NativeBuffer buffer, long bytes)
    {
        buffer.IsOut = true;
        buffer.Length = bytes;
        OutCount++;
        OutBytes += buffer.CapacityBytes;
        return buffer;
    }

    private void Discard(NativeBuffer buffer)
    {
        Unlink(buffer);
        FreeMemory(buffer);
    }

    private void Link(NativeBuffer buffer)
    {
        KeptBytes += buffer.CapacityBytes;
        buffer.Below = _newest[buffer.SizeClass];
        if (buffer.Below is { } below)
            below.Above = buffer;
        _newest[buffer.SizeClass] = buffer;
        buffer.Older = _newestKept;
        if (_newestKept is { } newest)
            newest.Newer = buffer;
        else
            _oldestKept = buffer;
        _newestKept = buffer;
    }

    private void Unlink(NativeBuffer buffer)
    {
        KeptBytes -= buffer.CapacityBytes;
        if (buffer.Above is { } above)
            above.Below = buffer.Below;
        else
            _newest[buffer.SizeClass] = buffer.Below;
        if (buffer.Below is { } below)
            below.Above = buffer.Above;
        if (buffer.Newer is { } newer)
            newer.Older = buffer.Older;
        else
            _newestKept = buffer.Older;
        if (buffer.Older is { } older)
            older.Newer = buffer.Newer;
        else
            _oldestKept = buffer.Newer;
        buffer.Above = buffer.Below = buffer.Older = buffer.Newer = null;
    }
}

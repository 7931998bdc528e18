using TransferQueue.Memory.Native;

namespace TransferQueue.Memory;

/// <summary>
/// A segment of a core's arena in a client, mapped twice, each map made once: <see cref="Shared"/> for copies in either direction, and
/// <see cref="Views"/>, copy-on-write, for what consumers get. A page that was written there is frozen: nothing is ever copied from it.
/// </summary>
/// <remarks>
/// <see cref="Populate"/> is thread-safe. Dispose unmaps both: nobody may use an address of it any more. Only the pages of extents that
/// the core told may be touched; others have no memory.
/// </remarks>
internal sealed unsafe class MappedSegment : IDisposable
{
    /// <summary>Bytes that one call to the kernel makes present: the kernel holds a lock of the address space meanwhile.</summary>
    private const long PopulateBytes = 1 << 20;

    private readonly Lock _gate = new();
    private readonly PageSet _populated = new();
    private bool _isDisposed;

    /// <summary>Whether the pages are those of a file, which the kernel writes out and may drop; memory's pages stay once they were present.</summary>
    private readonly bool _isFile;

    private MappedSegment(int number, long length, byte* shared, byte* views, bool isFile)
    {
        _isFile = isFile;
        Number = number;
        Length = length;
        Shared = shared;
        Views = views;
    }

    /// <summary>The number in a place.</summary>
    public int Number { get; }

    /// <summary>Bytes of both maps.</summary>
    public long Length { get; }

    /// <summary>First byte of the map that all processes see.</summary>
    public byte* Shared { get; }

    /// <summary>First byte of the map whose written pages are this process's own.</summary>
    public byte* Views { get; }

    /// <summary>Maps a segment. The fd stays the caller's and may be closed.</summary>
    /// <exception cref="TransferQueueException">The kernel refuses: no address space, or no memory segment.</exception>
    public static MappedSegment Map(int number, int fd, long length)
    {
        byte* shared = Map(fd, length, Libc.MAP_SHARED);
        try
        {
            int seals = Libc.fcntl(fd, Libc.F_GET_SEALS, 0); // fails for a file that is on a disk
            bool isFile = seals < 0 || (seals & Libc.F_SEAL_SHRINK) == 0;
            return new MappedSegment(number, length, shared, Map(fd, length, Libc.MAP_PRIVATE), isFile);
        }
        catch (TransferQueueException)
        {
            _ = Libc.munmap(shared, (nuint)length);
            throw;
        }
    }

    /// <summary>Makes pages of the shared map present, once: a fault per page costs many times the copy into it.</summary>
    public void Populate(long offset, long bytes)
    {
        long page = offset / Arena.PageBytes, end = (offset + bytes + Arena.PageBytes - 1) / Arena.PageBytes;
        if (_isFile)
        {
            _ = Libc.madvise(Shared + page * Arena.PageBytes, (nuint)((end - page) * Arena.PageBytes), Libc.MADV_POPULATE_WRITE);
            return;
        }
        while (page < end)
        {
            long first, next;
            lock (_gate)
            {
                first = _populated.Find(page, end, isIn: false);
                next = _populated.Find(first, Math.Min(end, first + PopulateBytes / Arena.PageBytes), isIn: true);
            }
            if (first == end)
                return;
            // A kernel before 5.14 doesn't know the advice: the pages come one by one then.
            _ = Libc.madvise(Shared + first * Arena.PageBytes, (nuint)((next - first) * Arena.PageBytes), Libc.MADV_POPULATE_WRITE);
            lock (_gate)
                _populated.Add(first, next - first);
            page = next;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _ = Libc.munmap(Shared, (nuint)Length);
        _ = Libc.munmap(Views, (nuint)Length);
    }

    private static byte* Map(int fd, long length, int flags)
    {
        void* map = Libc.mmap(null, (nuint)length, Libc.PROT_READ | Libc.PROT_WRITE, flags | Libc.MAP_NORESERVE, fd, 0);
        if (map == Libc.MAP_FAILED)
            throw Errno.ToException($"shared memory: mapping {length} bytes; is address space limited (ulimit -v)?");
        _ = Libc.madvise(map, (nuint)length, Libc.MADV_DONTDUMP); // a core dump of this process would else carry all batches
        return (byte*)map;
    }
}

using TransferQueue.Memory.Native;

namespace TransferQueue.Memory;

/// <summary>One memfd, or one file, of an <see cref="Arena"/> and its map. The arena owns fd and map; whoever needs the fd for longer duplicates it.</summary>
internal sealed unsafe class ArenaSegment : IDisposable
{
    private ArenaSegment(int number, int fd, byte* map, long length, bool isFile)
    {
        Number = number;
        IsFile = isFile;
        Fd = fd;
        Map = map;
        Length = length;
    }

    /// <summary>The number in <see cref="Columns.ExtentRef.Segment"/>, from 0.</summary>
    public int Number { get; }

    /// <summary>Whether it is a file of a folder, and no memfd.</summary>
    public bool IsFile { get; }

    /// <summary>The descriptor; −1 after the end.</summary>
    public int Fd { get; private set; }

    /// <summary>The shared, writable map of the whole segment.</summary>
    public byte* Map { get; private set; }

    /// <summary>Bytes of the file and of the map; only the first <see cref="CommittedBytes"/> have memory.</summary>
    public long Length { get; }

    /// <summary>Bytes from the start that have memory, as the writer knows it.</summary>
    public long CommittedBytes { get; internal set; }

    /// <summary>Makes a segment of <paramref name="length"/> bytes, without memory yet.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="length">Its address room.</param>
    /// <param name="folder">Where its file lies; null: it is a memfd.</param>
    internal static ArenaSegment Create(int number, long length, OffloadFolder? folder = null)
    {
        int fd = folder?.CreateFile() ?? CreateMemory();
        try
        {
            Errno.Check(Libc.ftruncate(fd, length), $"arena: segment of {length} bytes");
            if (folder is null)
                Errno.Check(Libc.fcntl(fd, Libc.F_ADD_SEALS, Libc.F_SEAL_SHRINK), "arena: sealing a segment");
            return new ArenaSegment(number, fd, MapShared(fd, length), length, folder is not null);
        }
        catch (TransferQueueException)
        {
            _ = Libc.close(fd);
            throw;
        }
    }

    /// <summary>Puts the pages of a part into the page table of the server's map, so that their first use costs no faults. A worker's thread.</summary>
    /// <returns>False if the kernel can't (before Linux 5.14): then the first use does it.</returns>
    internal bool TryPopulate(long offset, long bytes) => Libc.madvise(Map + offset, (nuint)bytes, Libc.MADV_POPULATE_WRITE) == 0;

    /// <summary>Gives pages back to the system. Any thread.</summary>
    internal void GiveBack(long offset, long bytes) => _ = Libc.fallocate(Fd, Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, offset, bytes);

    /// <summary>Takes memory for a part. Any thread.</summary>
    /// <returns>False if the system has none.</returns>
    internal bool TryTake(long offset, long bytes)
    {
        int errno;
        do
            errno = Libc.fallocate(Fd, 0, offset, bytes) == 0 ? 0 : Errno.Last;
        while (errno == Errno.EINTR);
        if (errno is Errno.ENOMEM or Errno.ENOSPC or Errno.EFBIG)
            return false;
        if (errno != 0)
            throw Errno.ToException($"arena: taking {bytes} bytes", errno);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Fd < 0)
            return;
        _ = Libc.munmap(Map, (nuint)Length);
        _ = Libc.close(Fd);
        Map = null;
        Fd = -1;
    }

    private static int CreateMemory()
    {
        fixed (byte* name = "transferqueue-arena\0"u8)
            return Errno.Check(Libc.memfd_create(name, Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING), "arena: memfd_create");
    }

    private static byte* MapShared(int fd, long length)
    {
        void* map = Libc.mmap(null, (nuint)length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_NORESERVE, fd, 0);
        if (map == Libc.MAP_FAILED)
            throw Errno.ToException($"arena: mapping {length} bytes");
        _ = Libc.madvise(map, (nuint)length, Libc.MADV_DONTDUMP); // a core dump of the sidecar would else carry the batches
        return (byte*)map;
    }
}

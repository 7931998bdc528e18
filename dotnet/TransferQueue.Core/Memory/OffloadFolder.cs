using System.Runtime.InteropServices;
using System.Text;
using TransferQueue.Memory.Native;

namespace TransferQueue.Memory;

/// <summary>
/// A folder in whose file system the segment of an arena lies. The file has no name: what it takes goes back to the file system when the last
/// process that has it open or mapped has ended, however it ended.
/// </summary>
/// <remarks>Any thread, but never the writer: a file system may take its time.</remarks>
internal sealed class OffloadFolder
{
    /// <summary>Address room of the segment at most, which each process maps twice; files of ext4 end at 16 TiB.</summary>
    private const long MostBytes = 8L << 40;

    /// <summary>What is left to others in any case: a fiftieth of the file system, at most 1 GiB.</summary>
    private const long ReservedPart = 50;

    private const long MostReservedBytes = 1L << 30;

    private readonly DriveInfo _drive;

    /// <summary>Looks at a folder.</summary>
    /// <exception cref="InvalidArgumentException">It is no absolute path of a folder.</exception>
    public OffloadFolder(string name)
    {
        if (!Path.IsPathFullyQualified(name) || !Directory.Exists(name))
            throw new InvalidArgumentException($"ssd_offload.path: '{name}' is not the absolute path of a folder that is there; make the folder first");
        Name = name;
        _drive = new DriveInfo(name);
    }

    /// <summary>Its path.</summary>
    public string Name { get; }

    /// <summary>Bytes of the file system that are free.</summary>
    public long FreeBytes => _drive.AvailableFreeSpace;

    /// <summary>An arena in this folder: as large as the file system, in one segment.</summary>
    public ArenaOptions ArenaOptions()
    {
        long size = Math.Clamp(_drive.TotalSize, Arena.PageBytes, MostBytes) / Arena.PageBytes * Arena.PageBytes;
        return new ArenaOptions
        {
            CapacityBytes = size,
            SegmentBytes = size,
            Folder = this,
            RemainingBytes = () => FreeBytes,
            ReserveBytes = Math.Min(size / ReservedPart, MostReservedBytes),
        };
    }

    /// <summary>Opens a new file without a name, for reading and writing.</summary>
    /// <returns>Its descriptor; the caller owns it.</returns>
    /// <exception cref="InvalidArgumentException">The folder can't be written to.</exception>
    public unsafe int CreateFile()
    {
        int fd = Open(Name, Libc.O_TMPFILE | Libc.O_EXCL);
        if (fd < 0 && Errno.Last is Errno.EOPNOTSUPP or Errno.EISDIR or Errno.ENOENT)
        {
            // A file system that knows no nameless files: the name lasts for a moment.
            string name = Path.Combine(Name, $".transferqueue-{Environment.ProcessId}-{Guid.NewGuid():N}");
            fd = Open(name, Libc.O_CREAT | Libc.O_EXCL);
            if (fd >= 0)
                File.Delete(name);
        }
        return fd >= 0 ? fd : throw new InvalidArgumentException(
            $"ssd_offload.path: no file can be made in '{Name}': {Marshal.GetPInvokeErrorMessage(Errno.Last)}; give a folder that this user may write to");
    }

    private static unsafe int Open(string name, int flags)
    {
        fixed (byte* path = Encoding.UTF8.GetBytes(name + '\0'))
            return Libc.open(path, Libc.O_RDWR | Libc.O_CLOEXEC | flags, 0x180); // rw for the user alone
    }
}

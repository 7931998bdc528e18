using System.Runtime.InteropServices;

namespace TransferQueue.Memory.Native;

/// <summary>
/// Memory calls of libc, letter for letter; their manual pages are the documentation. A failed call leaves its reason in
/// <see cref="Marshal.GetLastSystemError"/>; <see cref="Errno"/> turns it into our errors. Any thread.
/// </summary>
internal static unsafe partial class Libc
{
    internal const uint MFD_CLOEXEC = 1;
    internal const uint MFD_ALLOW_SEALING = 2;
    internal const int F_ADD_SEALS = 1033;
    internal const int F_GET_SEALS = 1034;
    internal const int F_DUPFD_CLOEXEC = 1030;
    internal const int F_SEAL_SHRINK = 2;
    internal const int PROT_READ = 1;
    internal const int PROT_WRITE = 2;
    internal const int MAP_SHARED = 1;
    internal const int MAP_PRIVATE = 2;
    internal const int MAP_ANONYMOUS = 0x20;
    internal const int MAP_NORESERVE = 0x4000;
    internal const int MADV_DONTNEED = 4;
    internal const int MADV_HUGEPAGE = 14;
    internal const int MADV_DONTDUMP = 16;
    internal const int MADV_POPULATE_WRITE = 23;
    internal const int O_RDONLY = 0;
    internal const int O_RDWR = 2;
    internal const int O_CREAT = 0x40;
    internal const int O_EXCL = 0x80;
    internal const int O_CLOEXEC = 0x80000;
    internal const int FALLOC_FL_KEEP_SIZE = 1;
    internal const int FALLOC_FL_PUNCH_HOLE = 2;

    /// <summary>__O_TMPFILE | O_DIRECTORY; the latter differs from machine to machine (asm/fcntl.h).</summary>
    internal static readonly int O_TMPFILE = 0x400000 | (RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x4000 : 0x10000);

    /// <summary>What <c>mmap</c> returns when it failed.</summary>
    internal static readonly void* MAP_FAILED = (void*)-1;

    [LibraryImport("libc")]
    internal static partial int memfd_create(byte* name, uint flags);

    [LibraryImport("libc")]
    internal static partial int ftruncate(int fd, long length);

    [LibraryImport("libc")]
    internal static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport("libc")]
    internal static partial void* mmap(void* address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport("libc")]
    internal static partial int munmap(void* address, nuint length);

    [LibraryImport("libc")]
    internal static partial int madvise(void* address, nuint length, int advice);

    [LibraryImport("libc")]
    internal static partial int fcntl(int fd, int command, long argument);

    [LibraryImport("libc")]
    internal static partial int ioctl(int fd, nuint request, void* argument);

    [LibraryImport("libc")]
    internal static partial int open(byte* path, int flags, uint mode);

    [LibraryImport("libc")]
    internal static partial nint pread(int fd, void* buffer, nuint count, long offset);

    [LibraryImport("libc")]
    internal static partial int close(int fd);
}

using System.Runtime.InteropServices;

namespace TransferQueue.Storage.Native;

/// <summary>Calls of libc about files and folders that .NET has not, letter for letter; their manual pages are the documentation. Any thread.</summary>
internal static partial class LibcFiles
{
    internal const int O_RDONLY = 0;
    internal const int O_DIRECTORY = 0x10000;
    internal const int O_CLOEXEC = 0x80000;
    internal const int AT_FDCWD = -100;
    internal const uint RENAME_NOREPLACE = 1;
    internal const uint RENAME_EXCHANGE = 2;

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc")]
    internal static partial int fsync(int fd);

    [LibraryImport("libc")]
    internal static partial int close(int fd);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int renameat2(int oldDirectory, string oldPath, int newDirectory, string newPath, uint flags);
}

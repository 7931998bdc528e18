using System.Runtime.InteropServices;

namespace TransferQueue.Transport.Native;

/// <summary>Pipe calls of libc, letter for letter; their manual pages are the documentation.</summary>
internal static unsafe partial class LibcPipes
{
    [LibraryImport("libc")]
    internal static partial int pipe2(int* ends, int flags);

    [LibraryImport("libc")]
    internal static partial nint read(int fd, void* buffer, nuint count);
}

using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TransferQueue.Client.Native;

/// <summary>Calls of libc that the client needs, letter for letter; their manual pages are the documentation. Any thread.</summary>
internal static unsafe partial class Libc
{
    internal const int F_DUPFD_CLOEXEC = 1030;

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int fcntl(int fd, int command, long argument);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint write(SafeFileHandle fd, void* buffer, nuint count);
}

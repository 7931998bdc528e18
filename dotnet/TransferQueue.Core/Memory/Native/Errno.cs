using System.Runtime.InteropServices;

namespace TransferQueue.Memory.Native;

/// <summary>Numbers of <c>errno</c> on Linux, and the one place that turns them into our errors. Any thread.</summary>
internal static class Errno
{
    internal const int EPERM = 1;
    internal const int ENOENT = 2;
    internal const int ESRCH = 3;
    internal const int EINTR = 4;
    internal const int EAGAIN = 11;
    internal const int ENOMEM = 12;
    internal const int EACCES = 13;
    internal const int EISDIR = 21;
    internal const int EFBIG = 27;
    internal const int EMFILE = 24;
    internal const int ENFILE = 23;
    internal const int EINVAL = 22;
    internal const int ENOPROTOOPT = 92;
    internal const int EOPNOTSUPP = 95;
    internal const int ENOSPC = 28;
    internal const int EPIPE = 32;
    internal const int ECONNABORTED = 103;
    internal const int ECONNRESET = 104;
    internal const int ENOBUFS = 105;
    internal const int ENOTCONN = 107;
    internal const int ECONNREFUSED = 111;
    internal const int EINPROGRESS = 115;

    /// <summary>The reason of the last failed call of this thread.</summary>
    internal static int Last => Marshal.GetLastSystemError();

    /// <summary>The error for the last failed call of this thread.</summary>
    /// <param name="what">What had it and what was asked: <c>arena: memfd_create</c>.</param>
    internal static TransferQueueException ToException(string what) => ToException(what, Last);

    /// <summary>The error for <paramref name="errno"/>: StorageFull, ConnectionLost, NotRunning, Authentication, or a fault of ours.</summary>
    internal static TransferQueueException ToException(string what, int errno)
    {
        string text = $"{what}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})";
        return errno switch
        {
            ENOMEM or ENOSPC => new StorageFullException(text),
            EPIPE or ECONNRESET or ECONNABORTED or ENOTCONN => new ConnectionLostException(text),
            ENOENT or ECONNREFUSED => new NotRunningException(text),
            EACCES or EPERM => new AuthenticationException(text),
            EMFILE or ENFILE => new TransferQueueException(ErrorKind.TransferQueue, text + "; raise the limit of open files (ulimit -n)"),
            _ => new TransferQueueException(ErrorKind.TransferQueue, text),
        };
    }

    /// <summary>Throws unless the call's result says that it worked.</summary>
    /// <returns><paramref name="result"/>.</returns>
    internal static int Check(int result, string what) => result >= 0 ? result : throw ToException(what);
}

using System.Runtime.InteropServices;

namespace TransferQueue.Transport.Native;

/// <summary>A stretch of memory for <c>sendmsg</c> and <c>recvmsg</c>, as in readv(2).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct iovec
{
    internal void* iov_base;
    internal nuint iov_len;
}

/// <summary>The argument of <c>sendmsg</c> and <c>recvmsg</c> (recvmsg(2)) of 64-bit Linux.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct msghdr
{
    internal void* msg_name;
    internal uint msg_namelen;
    internal iovec* msg_iov;
    internal nuint msg_iovlen;
    internal void* msg_control;
    internal nuint msg_controllen;
    internal int msg_flags;
}

/// <summary>The head of a control message (cmsg(3)) of 64-bit Linux; its contents follow at once.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct cmsghdr
{
    internal nuint cmsg_len;
    internal int cmsg_level;
    internal int cmsg_type;
}

/// <summary>Who is on the other side of a Unix socket (unix(7), SO_PEERCRED).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ucred
{
    internal int pid;
    internal uint uid;
    internal uint gid;
}

/// <summary>A time span (timeval(3type)) of 64-bit Linux.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct timeval
{
    internal long tv_sec;
    internal long tv_usec;
}

/// <summary>What <c>poll</c> waits for (poll(2)).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct pollfd
{
    internal int fd;
    internal short events;
    internal short revents;
}

/// <summary>
/// Socket and event calls of libc, letter for letter; their manual pages are the documentation. Failures: see
/// <see cref="Memory.Native.Errno"/>. Any thread.
/// </summary>
internal static unsafe partial class LibcSockets
{
    internal const int AF_UNIX = 1;
    internal const int SOCK_STREAM = 1;
    internal const int SOCK_NONBLOCK = 0x800;
    internal const int SOCK_CLOEXEC = 0x80000;
    internal const int SOL_SOCKET = 1;
    internal const int SO_SNDBUF = 7;
    internal const int SO_PEERCRED = 17;
    internal const int SO_RCVTIMEO = 20;
    internal const int SO_PEERPIDFD = 77;
    internal const int SCM_RIGHTS = 1;
    internal const int SHUT_RDWR = 2;
    internal const int MSG_DONTWAIT = 0x40;
    internal const int MSG_NOSIGNAL = 0x4000;
    internal const int MSG_CTRUNC = 8;
    internal const int MSG_CMSG_CLOEXEC = 0x40000000;
    internal const short POLLIN = 1;
    internal const short POLLOUT = 4;
    internal const int EPOLL_CLOEXEC = 0x80000;
    internal const int EPOLL_CTL_ADD = 1;
    internal const int EPOLL_CTL_DEL = 2;
    internal const int EPOLL_CTL_MOD = 3;
    internal const int EFD_NONBLOCK = 0x800;
    internal const int EFD_CLOEXEC = 0x80000;
    internal const int F_GETFL = 3;
    internal const int F_SETFL = 4;
    internal const int O_NONBLOCK = 0x800;
    internal const int O_CLOEXEC = 0x80000;
    internal const long SYS_pidfd_open = 434;

    [LibraryImport("libc")]
    internal static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc")]
    internal static partial int socketpair(int domain, int type, int protocol, int* pair);

    [LibraryImport("libc")]
    internal static partial int bind(int fd, byte* address, uint length);

    [LibraryImport("libc")]
    internal static partial int listen(int fd, int backlog);

    [LibraryImport("libc")]
    internal static partial int connect(int fd, byte* address, uint length);

    [LibraryImport("libc")]
    internal static partial int accept4(int fd, void* address, uint* length, int flags);

    [LibraryImport("libc")]
    internal static partial int getsockopt(int fd, int level, int option, void* value, uint* length);

    [LibraryImport("libc")]
    internal static partial int setsockopt(int fd, int level, int option, void* value, uint length);

    [LibraryImport("libc")]
    internal static partial int shutdown(int fd, int how);

    [LibraryImport("libc")]
    internal static partial nint recv(int fd, void* buffer, nuint length, int flags);

    [LibraryImport("libc")]
    internal static partial nint sendmsg(int fd, msghdr* message, int flags);

    [LibraryImport("libc")]
    internal static partial nint recvmsg(int fd, msghdr* message, int flags);

    [LibraryImport("libc")]
    internal static partial nint read(int fd, void* buffer, nuint length);

    [LibraryImport("libc")]
    internal static partial nint write(int fd, void* buffer, nuint length);

    [LibraryImport("libc")]
    internal static partial int poll(pollfd* fds, nuint count, int timeout);

    [LibraryImport("libc")]
    internal static partial int eventfd(uint value, int flags);

    [LibraryImport("libc")]
    internal static partial int epoll_create1(int flags);

    [LibraryImport("libc")]
    internal static partial int epoll_ctl(int epoll, int operation, int fd, void* what);

    [LibraryImport("libc")]
    internal static partial int epoll_wait(int epoll, void* events, int most, int timeout);

    [LibraryImport("libc")]
    internal static partial int pipe2(int* ends, int flags);

    [LibraryImport("libc")]
    internal static partial uint geteuid();

    /// <summary>syscall(2) for calls that an old libc has no name for; variadic there, which on 64-bit Linux is called the same way.</summary>
    [LibraryImport("libc")]
    internal static partial long syscall(long number, long first, long second);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int open(string path, int flags, int mode);
}

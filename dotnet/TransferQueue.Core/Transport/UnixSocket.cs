using System.Text;
using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>Unix stream sockets by path (unix(7)). Sockets are returned as fds, non-blocking and close-on-exec, owned by the caller. Any thread.</summary>
internal static unsafe class UnixSocket
{
    /// <summary>Bytes that a path may have, so that it fits the kernel's address with its closing zero.</summary>
    public const int MostPathBytes = 107;

    private const int FamilyBytes = 2;
    private const int SendBufferBytes = 4 << 20;

    /// <summary>Connects to a server.</summary>
    /// <param name="path">Where it listens; at most 107 bytes in UTF-8.</param>
    /// <param name="timeout">How long to try while its queue of connections is full.</param>
    /// <exception cref="NotRunningException">Nobody listens there.</exception>
    /// <exception cref="DeadlineExceededException">The queue stayed full.</exception>
    /// <exception cref="AuthenticationException">The path belongs to another user.</exception>
    public static int Connect(string path, TimeSpan timeout)
    {
        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        int fd = Create();
        while (true)
        {
            int errno = WithAddress(path, (address, length) => LibcSockets.connect(fd, address, length)) == 0 ? 0 : Errno.Last;
            if (errno == 0)
                return fd;
            if (errno is not (Errno.EAGAIN or Errno.EINTR))
            {
                _ = Libc.close(fd);
                throw Errno.ToException($"connection to {path}", errno);
            }
            if (Environment.TickCount64 >= deadline)
            {
                _ = Libc.close(fd);
                throw new DeadlineExceededException($"connection to {path}: the server has not accepted it within {timeout.TotalSeconds} s");
            }
            Thread.Sleep(5); // a non-blocking Unix connect has nothing to poll for: it fails while the queue is full
        }
    }

    /// <summary>Makes a listening socket; the path must not exist.</summary>
    public static int Listen(string path, int backlog = 1024)
    {
        int fd = Create();
        try
        {
            Errno.Check(WithAddress(path, (address, length) => LibcSockets.bind(fd, address, length)), $"listening on {path}");
            Errno.Check(LibcSockets.listen(fd, backlog), $"listening on {path}");
            return fd;
        }
        catch (TransferQueueException)
        {
            _ = Libc.close(fd);
            throw;
        }
    }

    /// <summary>Makes two sockets that are connected to each other.</summary>
    public static (int First, int Second) CreatePair()
    {
        int* pair = stackalloc int[2];
        const int Type = LibcSockets.SOCK_STREAM | LibcSockets.SOCK_CLOEXEC | LibcSockets.SOCK_NONBLOCK;
        Errno.Check(LibcSockets.socketpair(LibcSockets.AF_UNIX, Type, 0, pair), "socket pair");
        return (pair[0], pair[1]);
    }

    /// <summary>Waits until a socket can be read or written, or has failed.</summary>
    /// <returns>False when the time is over; true also when a signal came.</returns>
    public static bool Wait(int fd, bool forRead, bool forWrite, int milliseconds)
    {
        pollfd wanted = new() { fd = fd };
        if (forRead)
            wanted.events |= LibcSockets.POLLIN;
        if (forWrite)
            wanted.events |= LibcSockets.POLLOUT;
        int result = LibcSockets.poll(&wanted, 1, milliseconds);
        return result > 0 || result < 0 && Errno.Last == Errno.EINTR;
    }

    /// <summary>Closes a socket.</summary>
    public static void Close(int fd) => _ = Libc.close(fd);

    private delegate int AddressCall(byte* address, uint length);

    private static int Create()
    {
        const int Type = LibcSockets.SOCK_STREAM | LibcSockets.SOCK_CLOEXEC | LibcSockets.SOCK_NONBLOCK;
        int fd = Errno.Check(LibcSockets.socket(LibcSockets.AF_UNIX, Type, 0), "socket");
        int bytes = SendBufferBytes;
        _ = LibcSockets.setsockopt(fd, LibcSockets.SOL_SOCKET, LibcSockets.SO_SNDBUF, &bytes, sizeof(int)); // the kernel caps it
        return fd;
    }

    private static int WithAddress(string path, AddressCall call)
    {
        byte* address = stackalloc byte[FamilyBytes + MostPathBytes + 1];
        int bytes = Encoding.UTF8.GetByteCount(path);
        if (bytes is 0 or > MostPathBytes)
            throw new InvalidArgumentException($"socket path '{path}': {bytes} bytes, it must have 1 to {MostPathBytes}; choose a shorter folder");
        *(ushort*)address = LibcSockets.AF_UNIX;
        Encoding.UTF8.GetBytes(path, new Span<byte>(address + FamilyBytes, bytes));
        address[FamilyBytes + bytes] = 0;
        return call(address, (uint)(FamilyBytes + bytes + 1));
    }
}

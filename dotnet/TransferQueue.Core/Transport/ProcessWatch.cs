using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>Tells once when the process that made a connection has ended, whatever becomes of the connection. On the loop's thread.</summary>
internal sealed unsafe class ProcessWatch : IDisposable
{
    private readonly Action _ended;
    private IDisposable? _watch;
    private int _fd;

    private ProcessWatch(int fd, Action ended) => (_fd, _ended) = (fd, ended);

    /// <summary>Begins to watch. A process that has ended already is reported too.</summary>
    /// <param name="loop">The connection's.</param>
    /// <param name="connection">One that is not gone.</param>
    /// <param name="ended">Called on the loop's thread, never inside this call.</param>
    /// <returns>Ends the watch.</returns>
    /// <exception cref="TransferQueueException">The process can't be watched: it lives where this one can't see it, or there are no more fds.</exception>
    public static ProcessWatch Start(ServerLoop loop, ServerConnection connection, Action ended)
    {
        int fd = Open(connection);
        var watch = new ProcessWatch(fd, ended);
        if (fd == -Errno.ESRCH)
        {
            loop.Post(watch.Report);
            return watch;
        }
        try
        {
            watch._watch = loop.Watch(fd, watch.Report);
            return watch;
        }
        catch (TransferQueueException)
        {
            watch.Dispose();
            throw;
        }
    }

    /// <summary>Opens a pidfd, close-on-exec, of the process that made a connection: the caller's to close.</summary>
    /// <returns>−ESRCH: it has ended.</returns>
    /// <exception cref="TransferQueueException">It can't be watched.</exception>
    public static int Open(ServerConnection connection)
    {
        int fd;
        uint length = sizeof(int);
        if (LibcSockets.getsockopt(connection.Fd, LibcSockets.SOL_SOCKET, LibcSockets.SO_PEERPIDFD, &fd, &length) == 0)
            return fd;
        int errno = Errno.Last;
        if (errno == Errno.ENOPROTOOPT)
            return OpenByNumber(connection.PeerProcessId);
        return errno is Errno.ESRCH or Errno.EINVAL ? -Errno.ESRCH : throw Failure(connection.PeerProcessId, errno);
    }

    /// <summary>
    /// For kernels before 6.5. The number may be another process' by now, if the one that connected has ended and thousands were born since: between
    /// accepting a connection and this call lies less than that.
    /// </summary>
    internal static int OpenByNumber(int processId)
    {
        if (processId <= 0)
            throw Failure(processId, Errno.ESRCH);
        long fd = LibcSockets.syscall(LibcSockets.SYS_pidfd_open, processId, 0);
        if (fd >= 0)
            return (int)fd;
        int errno = Errno.Last;
        return errno == Errno.ESRCH ? -Errno.ESRCH : throw Failure(processId, errno);
    }

    /// <summary>Ends the watch.</summary>
    public void Dispose()
    {
        _watch?.Dispose();
        _watch = null;
        if (_fd >= 0)
            _ = Libc.close(_fd);
        _fd = -1;
    }

    private void Report()
    {
        if (_fd == -1)
            return; // disposed of meanwhile
        Dispose();
        _ended();
    }

    private static TransferQueueException Failure(int processId, int errno) =>
        Errno.ToException($"process {processId}: watching for its end", errno);
}

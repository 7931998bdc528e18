using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>How connections begin and end.</summary>
internal sealed unsafe partial class ServerLoop
{
    /// <summary>Socket buffer that is wished for, so that a payload needs fewer changes of threads; the kernel caps it by its own limit.</summary>
    private const int SocketBufferBytes = 4 << 20;

    /// <summary>Connections that are accepted before others have their turn.</summary>
    private const int MostAcceptedAtOnce = 64;

    /// <summary>An fd that is given up for a moment when there are no more, so that a waiting connection can be told.</summary>
    private int _spareFd;

    /// <summary>Serves a socket that is connected already. The loop closes it. On the loop's thread, or before <see cref="Run"/>.</summary>
    /// <exception cref="TransferQueueException">The socket can't be watched; it is closed.</exception>
    public ServerConnection Adopt(int fd)
    {
        int flags = Libc.fcntl(fd, LibcSockets.F_GETFL, 0);
        if (flags < 0 || Libc.fcntl(fd, LibcSockets.F_SETFL, flags | LibcSockets.O_NONBLOCK) < 0)
            throw Errno.ToException($"server: adopting fd {fd}");
        ServerConnection connection = Register(fd, PeerOf(fd));
        connection.HasSpoken = true; // who was asked may take its time to answer
        return connection;
    }

    internal void End(ServerConnection connection, string reason)
    {
        if (connection.IsEnded)
            return;
        connection.IsEnded = true;
        connection.EndReason ??= reason;
        if (connection.IsReceiving || connection.IsSending)
            _ = LibcSockets.shutdown(connection.Fd, LibcSockets.SHUT_RDWR); // its mover notices and hands back
        else
            _ended.Add(connection);
    }

    internal void CloseAfterFlush(ServerConnection connection, string reason)
    {
        if (connection.IsClosing || connection.IsEnded)
            return;
        connection.IsClosing = true;
        connection.EndReason = reason;
        connection.CloseDeadline = Environment.TickCount64 + (long)_options.CloseLimit.TotalMilliseconds;
        MarkDirty(connection);
    }

    private void AcceptAll()
    {
        for (int i = 0; i < MostAcceptedAtOnce; i++)
        {
            int fd = LibcSockets.accept4(_options.ListenFd, null, null, LibcSockets.SOCK_NONBLOCK | LibcSockets.SOCK_CLOEXEC);
            if (fd >= 0)
                Accept(fd);
            else if (!TryGoOn(Errno.Last))
                return;
        }
    }

    private bool TryGoOn(int errno)
    {
        if (errno is Errno.EMFILE or Errno.ENFILE)
            RefuseWithoutFd();
        return errno is Errno.EINTR or Errno.ECONNABORTED;
    }

    private void Accept(int fd)
    {
        (int Pid, uint Uid) peer = PeerOf(fd);
        if (peer.Uid != _options.AllowedUid || _connections.Count >= _options.MostConnections)
        {
            RefusedCount++;
            _ = Libc.close(fd);
            return;
        }
        try
        {
            Register(fd, peer);
        }
        catch (TransferQueueException)
        {
            RefusedCount++;
        }
    }

    /// <summary>Out of fds: a level-triggered listener would spin, so the caller is let in through the spare one and closed.</summary>
    private void RefuseWithoutFd()
    {
        RefusedCount++;
        if (_spareFd >= 0)
        {
            _ = Libc.close(_spareFd);
            int fd = LibcSockets.accept4(_options.ListenFd, null, null, LibcSockets.SOCK_CLOEXEC);
            if (fd >= 0)
                _ = Libc.close(fd);
        }
        _spareFd = LibcSockets.open("/dev/null", LibcSockets.O_CLOEXEC, 0);
    }

    private ServerConnection Register(int fd, (int Pid, uint Uid) peer)
    {
        int bytes = SocketBufferBytes;
        _ = LibcSockets.setsockopt(fd, LibcSockets.SOL_SOCKET, LibcSockets.SO_SNDBUF, &bytes, sizeof(int));
        var connection = new ServerConnection(this, _nextId++, fd, peer)
        {
            ConnectedAt = Environment.TickCount64,
            Interest = EpollEvents.Read | EpollEvents.PeerEnded | EpollEvents.EdgeTriggered,
        };
        try
        {
            _epoll.Add(fd, connection.Interest, connection.Id);
        }
        catch (TransferQueueException)
        {
            _ = Libc.close(fd);
            throw;
        }
        _connections.Add(connection.Id, connection);
        AcceptedCount++;
        Guard(connection, () => _handler.Connected(connection));
        if (_isStopping)
            End(connection, "the server stops");
        return connection;
    }

    private void EndAll()
    {
        foreach (ServerConnection connection in _connections.Values.ToArray())
        {
            Flush(connection);
            End(connection, "the server stops");
        }
        Settle();
    }

    private static (int Pid, uint Uid) PeerOf(int fd)
    {
        ucred peer = default;
        uint length = (uint)sizeof(ucred);
        int result = LibcSockets.getsockopt(fd, LibcSockets.SOL_SOCKET, LibcSockets.SO_PEERCRED, &peer, &length);
        return result == 0 ? (peer.pid, peer.uid) : (0, uint.MaxValue);
    }

    private void SetInterest(ServerConnection connection, EpollEvents interest)
    {
        if (connection.Interest == interest)
            return;
        connection.Interest = interest;
        _epoll.Change(connection.Fd, interest, connection.Id);
    }

    /// <summary>The end of a connection that no mover works on.</summary>
    private void Bury(ServerConnection connection)
    {
        if (connection.IsGone)
            return;
        connection.IsGone = true;
        _connections.Remove(connection.Id);
        _ = Libc.close(connection.Fd); // closing takes it out of the epoll
        if (connection.Plan is { } plan)
            ReportLost(connection, plan);
        connection.Plan = null;
        if (connection.Continuation is { } late)
            ReportLost(connection, late);
        connection.Continuation = null;
        connection.DropHeldBack();
        connection.Head.Clear();
        while (connection.Outgoing.TryDequeue(out OutgoingMessage? message))
            Complete(message, false);
        connection.PendingBytes = 0;
        Guard(null, () => _handler.Disconnected(connection, connection.EndReason!));
    }

    /// <summary>Deadlines of the transport's own.</summary>
    private void Inspect()
    {
        long now = Environment.TickCount64;
        if (now < _nextInspection)
            return;
        _nextInspection = now + InspectionMilliseconds;
        foreach (ServerConnection connection in _connections.Values)
            Inspect(connection, now);
        Settle();
    }

    private void Inspect(ServerConnection connection, long now)
    {
        if (connection.IsClosing && now > connection.CloseDeadline)
            End(connection, "its last replies were not read in time");
        else if (!connection.HasSpoken && now - connection.ConnectedAt > _options.FirstMessageLimit.TotalMilliseconds)
            CloseAfterFlush(connection, $"no whole message in the first {_options.FirstMessageLimit.TotalSeconds} s");
        else if (connection.Plan is not null && now - connection.LastProgress > _options.PayloadStallLimit.TotalMilliseconds)
            End(connection, $"its payload stood still for {_options.PayloadStallLimit.TotalSeconds} s");
    }
}

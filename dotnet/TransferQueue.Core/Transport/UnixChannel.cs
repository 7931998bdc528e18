using System.Diagnostics;
using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>A client's connection over a Unix socket. One thread may send while another one receives.</summary>
internal sealed unsafe class UnixChannel : IMessageChannel
{
    /// <summary>How long one call to the kernel waits for bytes; a shorter wait polls first, which is a call more.</summary>
    private const int SliceMilliseconds = 50;

    private readonly MessageReader _reader;

    /// <summary>Whether the socket was set to wait for a slice when asked to.</summary>
    private readonly bool _canWait;
    private SpinBudget _spin;
    private int _fd;

    /// <summary>Takes over a connected socket and changes its mode.</summary>
    /// <param name="fd">Closed by <see cref="Dispose"/>.</param>
    /// <param name="pool">Where received bytes go.</param>
    /// <param name="limits">What a reply may have.</param>
    public UnixChannel(int fd, NativeBufferPool pool, TransportLimits limits)
    {
        _fd = fd;
        _canWait = TryLetWait(fd);
        _reader = new MessageReader(pool, limits);
    }

    /// <summary>
    /// How long <see cref="TryReceive"/> may ask again and again before it sleeps, in microseconds; 0: not at all. Default 50 where there are several
    /// processors. <see cref="SpinBudget"/> says when it does.
    /// </summary>
    public int SpinMicroseconds { get; set; } = Environment.ProcessorCount > 1 ? 50 : 0;

    /// <summary>Calls to the kernel that received, or waited to; those of a spin are not counted.</summary>
    public long ReceiveCalls { get; private set; }

    /// <summary>Connects to the server that listens at <paramref name="path"/>.</summary>
    /// <exception cref="NotRunningException">Nobody listens there.</exception>
    /// <exception cref="DeadlineExceededException">It has not accepted in time.</exception>
    public static UnixChannel Connect(string path, TimeSpan timeout, NativeBufferPool pool, TransportLimits limits) =>
        new(UnixSocket.Connect(path, timeout), pool, limits);

    /// <inheritdoc/>
    public bool TrySend(OutgoingMessage message, int waitMilliseconds)
    {
        long deadline = Environment.TickCount64 + waitMilliseconds;
        while (message.RemainingBytes > 0)
        {
            long sent = SocketIO.Send(_fd, message, message.RemainingBytes);
            if (sent == SocketIO.WouldBlock && !WaitUntil(deadline, forRead: false))
                return false;
            if (sent < 0 && sent != SocketIO.WouldBlock)
                throw Errno.ToException("connection to the core", (int)-sent);
        }
        return true;
    }

    /// <inheritdoc/>
    public bool TryReceive(IncomingMessage message, int waitMilliseconds)
    {
        if (waitMilliseconds <= 0)
            return TryRead(message, mayWait: false);
        if (SpinMicroseconds > 0 && _spin.TryTake())
        {
            bool wasEnough = TrySpin(message);
            _spin.Note(wasEnough);
            if (wasEnough)
                return true;
        }
        long deadline = Environment.TickCount64 + waitMilliseconds;
        while (true)
        {
            bool mayWait = _canWait && deadline - Environment.TickCount64 >= SliceMilliseconds;
            if (TryRead(message, mayWait))
                return true;
            if (!mayWait && !WaitUntil(deadline, forRead: true))
                return false;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_fd < 0)
            return;
        UnixSocket.Close(_fd);
        _fd = -1;
        _reader.Dispose();
    }

    /// <summary>Lets calls that may wait do so for a slice; all others say MSG_DONTWAIT.</summary>
    private static bool TryLetWait(int fd)
    {
        timeval slice = new() { tv_usec = SliceMilliseconds * 1000 };
        int flags = Libc.fcntl(fd, LibcSockets.F_GETFL, 0);
        return flags >= 0
            && LibcSockets.setsockopt(fd, LibcSockets.SOL_SOCKET, LibcSockets.SO_RCVTIMEO, &slice, (uint)sizeof(timeval)) == 0
            && Libc.fcntl(fd, LibcSockets.F_SETFL, flags & ~LibcSockets.O_NONBLOCK) == 0;
    }

    private bool TrySpin(IncomingMessage message)
    {
        long from = Stopwatch.GetTimestamp();
        long calls = ReceiveCalls;
        do
        {
            if (TryRead(message, mayWait: false))
                return true;
            ReceiveCalls = calls;
        }
        while (Stopwatch.GetElapsedTime(from).TotalMicroseconds < SpinMicroseconds);
        return false;
    }

    private bool TryRead(IncomingMessage message, bool mayWait)
    {
        ReceiveCalls++;
        if (_reader.TryRead(_fd, message, mayWait, out long result))
            return true;
        if (result == SocketIO.WouldBlock)
            return false;
        throw result == 0
            ? new ConnectionLostException("connection to the core: the core closed it; was it stopped?")
            : Errno.ToException("connection to the core", (int)-result);
    }

    private bool WaitUntil(long deadline, bool forRead)
    {
        if (forRead)
            ReceiveCalls++;
        long left = deadline - Environment.TickCount64;
        return left > 0 && UnixSocket.Wait(_fd, forRead, !forRead, (int)left);
    }
}

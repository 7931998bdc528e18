using System.Diagnostics;
using TransferQueue.Memory;
using TransferQueue.Memory.Native;

namespace TransferQueue.Transport;

/// <summary>A client's connection over a Unix socket. One thread may send while another one receives.</summary>
internal sealed class UnixChannel : IMessageChannel
{
    private readonly MessageReader _reader;
    private int _fd;

    /// <summary>Takes over a connected, non-blocking socket.</summary>
    /// <param name="fd">Closed by <see cref="Dispose"/>.</param>
    /// <param name="pool">Where received bytes go.</param>
    /// <param name="limits">What a reply may have.</param>
    public UnixChannel(int fd, NativeBufferPool pool, TransportLimits limits)
    {
        _fd = fd;
        _reader = new MessageReader(pool, limits);
    }

    /// <summary>How long <see cref="TryReceive"/> asks again and again before it sleeps, in microseconds. Default 0. Pays with idle processors only.</summary>
    public int SpinMicroseconds { get; set; }

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
        long deadline = Environment.TickCount64 + waitMilliseconds;
        long spinFrom = SpinMicroseconds > 0 && waitMilliseconds > 0 ? Stopwatch.GetTimestamp() : 0;
        while (true)
        {
            if (_reader.TryRead(_fd, message, out long result))
                return true;
            if (result == 0)
                throw new ConnectionLostException("connection to the core: the core closed it; was it stopped?");
            if (result != SocketIO.WouldBlock)
                throw Errno.ToException("connection to the core", (int)-result);
            if (spinFrom != 0 && Stopwatch.GetElapsedTime(spinFrom).TotalMicroseconds < SpinMicroseconds)
                continue;
            if (!WaitUntil(deadline, forRead: true))
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

    private bool WaitUntil(long deadline, bool forRead)
    {
        long left = deadline - Environment.TickCount64;
        return left > 0 && UnixSocket.Wait(_fd, forRead, !forRead, (int)left);
    }
}

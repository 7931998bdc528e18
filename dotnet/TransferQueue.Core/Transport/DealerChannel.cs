using System.Buffers.Binary;
using NetMQ;
using NetMQ.Sockets;
using TransferQueue.Memory;

namespace TransferQueue.Transport;

/// <summary>
/// A client's connection to a gateway on another host: a NetMQ DEALER, served by a thread of its own. It does not reconnect: a lost
/// connection is an error here as on a Unix socket, because the gateway wants a new proof on a new one.
/// </summary>
/// <remarks>One thread may send while another one receives; the gate guards what they share with the channel's own thread.</remarks>
internal sealed class DealerChannel : IMessageChannel
{
    /// <summary>Bytes that may be on their way to NetMQ when a further message is sent.</summary>
    private const long MostQueuedBytes = 256L << 20;
    private const int MessagesInNetMQ = 64;
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(30);
    private static long _monitors;

    private readonly NativeBufferPool _pool;
    private readonly TransportLimits _limits;
    private readonly string _address;
    private readonly DealerSocket _socket = new();
    private readonly PairSocket _monitor = new();
    private readonly NetMQQueue<MultipartMessage> _outgoing = new();
    private readonly NetMQPoller _poller;
    private readonly object _gate = new(); // waited on, so no Lock
    private readonly Queue<MultipartMessage> _incoming = new();

    /// <summary>The message that NetMQ had no room for; the channel's thread only.</summary>
    private MultipartMessage? _stuck;

    /// <summary>Bytes that were given to <see cref="_outgoing"/> and not to NetMQ yet; under the gate, as the rest.</summary>
    private long _queuedBytes;
    private bool _isConnected;
    private bool _isDisposed;
    private string? _lostBecause;

    private DealerChannel(string address, NativeBufferPool pool, TransportLimits limits)
    {
        _ = RecycledBufferPool.Installed;
        _address = address;
        _pool = pool;
        _limits = limits;
        SetOptions();
        string monitor = $"inproc://tq-dealer-{Interlocked.Increment(ref _monitors)}";
        _socket.Monitor(monitor, SocketEvents.Connected | SocketEvents.Disconnected | SocketEvents.Closed);
        _monitor.Connect(monitor);
        _socket.ReceiveReady += (_, _) => ReceiveAll();
        _monitor.ReceiveReady += (_, _) => Watch();
        _outgoing.ReceiveReady += SendQueued;
        _poller = [_socket, _monitor, _outgoing];
        _socket.Connect(address);
        _poller.RunAsync("tq-dealer", true);
    }

    /// <summary>Connects to a gateway.</summary>
    /// <param name="address"><c>tcp://host:port</c>.</param>
    /// <param name="timeout">How long to wait for the TCP connection.</param>
    /// <param name="pool">Where received bytes go.</param>
    /// <param name="limits">What a reply may have.</param>
    /// <exception cref="NotRunningException">Nobody listens there.</exception>
    /// <exception cref="DeadlineExceededException">No answer in time.</exception>
    public static DealerChannel Connect(string address, TimeSpan timeout, NativeBufferPool pool, TransportLimits limits)
    {
        DealerChannel channel;
        try
        {
            channel = new DealerChannel(address, pool, limits);
        }
        catch (Exception e) when (e is NetMQException or System.Net.Sockets.SocketException or ArgumentException)
        {
            throw new NotRunningException($"connection to {address}: {e.Message}");
        }
        try
        {
            channel.AwaitConnection(timeout);
            return channel;
        }
        catch (TransferQueueException)
        {
            channel.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <remarks>The message is copied whole, so its memory is free as soon as this returned true; until then nothing of it was sent.</remarks>
    public bool TrySend(OutgoingMessage message, int waitMilliseconds)
    {
        if (message.RemainingBytes == 0)
            return true;
        lock (_gate)
        {
            ThrowIfLost();
            if (!Await(() => _queuedBytes <= MostQueuedBytes, waitMilliseconds))
                return false;
            _queuedBytes += message.TotalBytes;
        }
        MultipartMessage copy;
        try
        {
            copy = MultipartMessage.CopyOf(message);
        }
        catch (TransferQueueException)
        {
            lock (_gate)
                _queuedBytes -= message.TotalBytes;
            throw;
        }
        _ = message.Advance(message.RemainingBytes);
        _outgoing.Enqueue(copy);
        return true;
    }

    /// <inheritdoc/>
    public bool TryReceive(IncomingMessage message, int waitMilliseconds)
    {
        MultipartMessage? received;
        lock (_gate)
            if (!Await(() => _incoming.Count > 0, waitMilliseconds) || !_incoming.TryDequeue(out received))
                return false;
        using (received)
            Take(received, message);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
            _lostBecause ??= "it was closed here";
            Monitor.PulseAll(_gate);
        }
        _poller.Dispose(); // stops the thread
        _socket.Dispose();
        _monitor.Dispose();
        _stuck?.Dispose();
        while (_outgoing.TryDequeue(out MultipartMessage? message, TimeSpan.Zero))
            message.Dispose();
        _outgoing.Dispose();
        while (_incoming.TryDequeue(out MultipartMessage? message))
            message.Dispose();
    }

    private void SetOptions()
    {
        SocketOptions options = _socket.Options;
        options.Linger = TimeSpan.Zero;
        options.ReconnectInterval = TimeSpan.FromMilliseconds(-1);
        options.MaxMsgSize = MultipartMessage.MostFrameBytes;
        options.SendHighWatermark = MessagesInNetMQ;
        options.ReceiveHighWatermark = MessagesInNetMQ;
        options.TcpKeepalive = true;
        options.TcpKeepaliveIdle = KeepAlive;
        options.TcpKeepaliveInterval = KeepAlive / 3;
    }

    private void AwaitConnection(TimeSpan timeout)
    {
        lock (_gate)
        {
            try
            {
                if (Await(() => _isConnected, (int)timeout.TotalMilliseconds))
                    return;
            }
            catch (ConnectionLostException)
            {
                throw new NotRunningException($"connection to {_address}: nobody listens there; is the gateway running?");
            }
        }
        throw new DeadlineExceededException($"connection to {_address}: no answer within {timeout.TotalSeconds} s");
    }

    /// <summary>Waits under the gate. What has come before the connection was lost is still given out.</summary>
    /// <exception cref="ConnectionLostException">It can't come true any more.</exception>
    private bool Await(Func<bool> condition, int milliseconds)
    {
        long deadline = Environment.TickCount64 + milliseconds;
        while (!condition())
        {
            ThrowIfLost();
            long left = deadline - Environment.TickCount64;
            if (left <= 0)
                return false;
            Monitor.Wait(_gate, (int)left);
        }
        return true;
    }

    private void ThrowIfLost()
    {
        if (_lostBecause is { } reason)
            throw new ConnectionLostException($"connection to {_address}: {reason}");
    }

    private void Take(MultipartMessage received, IncomingMessage message)
    {
        if (received.Check(_limits, out Prelude prelude, out int headerStart) is { } wrong)
            throw wrong;
        message.Prelude = prelude;
        message.Header = _pool.Rent(prelude.HeaderBytes);
        received[0][headerStart..].CopyTo(message.Header.Span);
        CopyFrames(received, message);
    }

    private unsafe void CopyFrames(MultipartMessage received, IncomingMessage message)
    {
        var copy = new BulkCopy();
        for (int i = 1; i < received.FrameCount; i++)
        {
            NativeBuffer buffer = _pool.Rent(received.Segment(i).Length);
            message.Add(buffer);
            copy.Add(received.Segment(i), buffer.Address);
        }
        copy.Run();
    }

    private void ReceiveAll()
    {
        while (true)
        {
            var message = new MultipartMessage();
            if (message.ReceiveFrames(_socket, _limits.Frames + 1) == 0)
                return;
            lock (_gate)
            {
                if (!message.IsFarewell)
                    _incoming.Enqueue(message);
                else
                    _lostBecause ??= "the gateway ended it";
                Monitor.PulseAll(_gate);
            }
        }
    }

    private void SendQueued(object? sender, NetMQQueueEventArgs<MultipartMessage> e)
    {
        if (TrySendAll())
            return;
        _outgoing.ReceiveReady -= SendQueued; // the poller would ask again and again
        _socket.SendReady += SendStuck;
    }

    private void SendStuck(object? sender, NetMQSocketEventArgs e)
    {
        if (!TrySendAll())
            return;
        _socket.SendReady -= SendStuck;
        _outgoing.ReceiveReady += SendQueued;
    }

    /// <returns>False if NetMQ has no room.</returns>
    private bool TrySendAll()
    {
        while (_stuck is not null || _outgoing.TryDequeue(out _stuck, TimeSpan.Zero))
        {
            long bytes = _stuck.Bytes;
            if (!_stuck.TrySendTo(_socket))
                return false;
            _stuck = null;
            lock (_gate)
            {
                _queuedBytes -= bytes;
                Monitor.PulseAll(_gate);
            }
        }
        return true;
    }

    /// <summary>NetMQ's report of the TCP connection: frames of which the first one begins with the event's number.</summary>
    private void Watch()
    {
        while (_monitor.TryReceiveFrameBytes(TimeSpan.Zero, out byte[]? report, out bool hasMore))
        {
            while (hasMore)
                _monitor.TryReceiveFrameBytes(TimeSpan.Zero, out _, out hasMore);
            if (report is not { Length: >= sizeof(int) })
                continue;
            bool isConnected = BinaryPrimitives.ReadInt32LittleEndian(report) == (int)SocketEvents.Connected;
            lock (_gate)
            {
                _isConnected |= isConnected;
                if (!isConnected)
                    _lostBecause ??= "the gateway closed it; was it stopped?";
                Monitor.PulseAll(_gate);
            }
        }
    }
}

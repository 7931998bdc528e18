using System.Net.Sockets;
using TransferQueue.Memory;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>A connection to a core on this host, by a Unix socket. The calling threads themselves read and write it.</summary>
internal sealed class UnixConnection : IClientConnection
{
    private const int MostBytesPerSend = 1 << 30;

    private readonly Socket _socket;
    private readonly string _address;
    private readonly ReplyReader _reader = new(TransportLimits.Default);
    private readonly Lock _readerGate = new();
    private bool _isDisposed;

    private UnixConnection(Socket socket, string address) => (_socket, _address) = (socket, address);

    /// <summary>Connects.</summary>
    /// <returns>The connection; null if the core's queue of new connections is full just now.</returns>
    /// <exception cref="ConnectionLostException">Nobody listens at the address.</exception>
    public static UnixConnection? TryOpen(ServerAddress address)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(address.Path!));
            return new UnixConnection(socket, address.ToString());
        }
        catch (SocketException error)
        {
            socket.Dispose();
            if (error.SocketErrorCode == SocketError.WouldBlock)
                return null;
            throw new ConnectionLostException($"core at {address}: nobody answers there ({error.Message}); is it running?", error);
        }
    }

    /// <inheritdoc/>
    public bool Send(RequestMessage message, TimeSpan wait)
    {
        var until = Deadline.After(wait);
        while (!message.IsSent)
        {
            int sent = SendOnce(message.Next);
            if (sent > 0)
                message.Advance(sent);
            else if (wait == TimeSpan.Zero || until.IsOver)
                return false;
            else
                Poll(until.Left, SelectMode.SelectWrite);
        }
        return true;
    }

    /// <inheritdoc/>
    public void WaitForRoom(TimeSpan wait) => Poll(wait, SelectMode.SelectWrite);

    /// <inheritdoc/>
    public ClientReply? Receive(TimeSpan wait)
    {
        var until = Deadline.After(wait);
        while (true)
        {
            if (ReceiveOnce(out ClientReply? reply))
            {
                if (reply is not null)
                    return reply;
            }
            else if (wait == TimeSpan.Zero || until.IsOver)
                return null;
            else
                Poll(until.Left, SelectMode.SelectRead);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _socket.Dispose(); // ends a poll or a receive of another thread
        lock (_readerGate)
        {
            if (!_isDisposed)
                _reader.Dispose();
            _isDisposed = true;
        }
    }

    private unsafe int SendOnce(NativeSegment bytes)
    {
        try
        {
            var span = new ReadOnlySpan<byte>(bytes.Pointer, (int)Math.Min(bytes.Length, MostBytesPerSend));
            int sent = _socket.Send(span, SocketFlags.None, out SocketError error);
            return error is SocketError.Success or SocketError.WouldBlock ? sent : throw Lost(error.ToString());
        }
        catch (ObjectDisposedException)
        {
            throw Lost("closed here");
        }
    }

    /// <summary>Takes an answer from what was read, or reads once; false if nothing is there to read.</summary>
    private bool ReceiveOnce(out ClientReply? reply)
    {
        lock (_readerGate)
        {
            if (_isDisposed)
                throw Lost("closed here");
            reply = _reader.TryRead();
            if (reply is not null)
                return true;
            int read = _socket.Receive(_reader.Room, SocketFlags.None, out SocketError error);
            if (error == SocketError.WouldBlock)
                return false;
            if (error != SocketError.Success)
                throw Lost(error.ToString());
            if (read == 0)
                throw Lost(_reader.IsInside ? "it ended in the middle of an answer" : "it ended");
            _reader.Take(read);
            reply = _reader.TryRead();
            return true;
        }
    }

    private void Poll(TimeSpan wait, SelectMode mode)
    {
        try
        {
            // A poll of less than a millisecond would not wait at all.
            _socket.Poll(wait < TimeSpan.FromMilliseconds(1) ? TimeSpan.FromMilliseconds(1) : wait, mode);
        }
        catch (Exception error) when (error is ObjectDisposedException or SocketException)
        {
            throw Lost("closed here");
        }
    }

    private ConnectionLostException Lost(string how) => new($"core at {_address}: the connection is gone ({how})");
}

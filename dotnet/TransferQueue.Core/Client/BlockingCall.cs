using TransferQueue.Memory;
using TransferQueue.Protocol;

namespace TransferQueue.Client;

/// <summary>
/// A request that the calling thread itself sends and waits for, in steps. It has a connection of its own for that time. When the
/// connection ends, the request goes out again on a new one with the same id, so that it takes effect once.
/// </summary>
/// <remarks>
/// One thread at a time. Dispose abandons a call that has not ended: its connection, on which an answer may still come, is closed.
/// </remarks>
internal sealed class BlockingCall : SteppedCall
{
    /// <summary>How often a call is sent at most: a core that ends each connection is not worth a deadline's wait.</summary>
    public const int MostAttempts = 5;

    private readonly ClientSession _session;
    private readonly ClientRequest _request;
    private readonly ulong _id;
    private readonly TimeSpan _timeout;
    private readonly Deadline _deadline;
    private ConnectionAttempt? _attempt;
    private ClientConnection? _connection;
    private Deadline _pause = Deadline.After(TimeSpan.Zero);
    private int _lost;
    private bool _hasEnded;

    /// <summary>Whether a byte of it may be with the core.</summary>
    private bool _wasSent;

    /// <summary>What the request's bytes lie in, if that is this call's.</summary>
    private NativeBuffer? _header;
    private bool _survivesClose;

    /// <summary>Prepares a call; nothing is sent before <see cref="SteppedCall.Step"/>.</summary>
    public BlockingCall(ClientSession session, ClientRequest request)
    {
        (_session, _request) = (session, request);
        _timeout = request.Timeout == TimeSpan.Zero ? ClientSession.DefaultTimeout : request.Timeout;
        _deadline = Deadline.After(_timeout + ClientSession.Grace);
        _id = session.Ids.Begin();
        if (session.Idle.TryTake() is { } connection)
            Use(connection);
    }

    /// <summary>Prepares a call of a request without payload.</summary>
    /// <param name="session">Of whom.</param>
    /// <param name="asked">The request.</param>
    /// <param name="timeout">How long it may take; zero: the server's default.</param>
    /// <param name="survivesClose">Whether it goes on when the session is closed.</param>
    public static BlockingCall Of(ClientSession session, Request asked, TimeSpan timeout, bool survivesClose = false)
    {
        ReadOnlySpan<byte> bytes = asked.ToHeader().Span;
        NativeBuffer header = ClientMemory.Pool.Rent(bytes.Length);
        bytes.CopyTo(header.Span);
        return new BlockingCall(session, new ClientRequest((ushort)asked.Type, header.Segment, [], timeout)) { _header = header, _survivesClose = survivesClose };
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (_hasEnded)
            return;
        EndExchange();
        // The core may have given a lease, or a loan, of which nobody here knows the number. After the connection's end, so that it gives none later.
        if (_wasSent && (MessageType)_request.Type is MessageType.Get or MessageType.Reserve)
            _session.Memory?.Sender.AddReply(_id);
    }

    /// <inheritdoc/>
    protected override ClientReply? Go(TimeSpan wait) => Exchange(Deadline.Earlier(Deadline.After(wait), _deadline));

    /// <inheritdoc/>
    protected override void Complete(ClientReply reply)
    {
        End(reply);
        reply.ViewFrames();
    }

    private void EndExchange()
    {
        _hasEnded = true;
        _attempt?.Dispose();
        _connection?.Dispose();
        _connection = null;
        _header?.Dispose();
        _header = null;
        _session.Ids.End(_id);
    }

    private ClientReply? Exchange(Deadline until)
    {
        ObjectDisposedException.ThrowIf(_hasEnded, this);
        while (true)
        {
            if (_session.IsDisposed && !_survivesClose)
                throw _session.ClosedHere();
            if (_deadline.IsOver)
                throw Late(_request.Type, _timeout);
            try
            {
                if ((_connection is not null || Connect(until)) && SendAndReceive(until) is { } reply)
                    return reply;
            }
            catch (ConnectionLostException) when (_connection is not null || _attempt is { HasConnected: true })
            {
                LoseConnection();
            }
            if (until.IsOver)
                return null;
        }
    }

    private bool Connect(Deadline until)
    {
        if (!_pause.IsOver)
        {
            Thread.Sleep(_pause.Left < until.Left ? _pause.Left : until.Left);
            return false;
        }
        _attempt ??= new ConnectionAttempt(_session, _survivesClose);
        if (_attempt.Step(until.Left) is not { } connection)
            return false;
        _attempt.Dispose();
        _attempt = null;
        Use(connection);
        return true;
    }

    private ClientReply? SendAndReceive(Deadline until)
    {
        if (!_connection!.Message.IsSent)
        {
            _wasSent = true;
            if (!Send(until.Left))
                return null;
            _session.Counters.CountSent(_request.FrameLengths.Length);
        }
        if (_connection!.Receive(until.Left) is not { } reply)
            return null;
        return Check(reply);
    }

    private bool Send(TimeSpan wait)
    {
        try
        {
            return _connection!.Send(_connection.Message, wait);
        }
        catch (ConnectionLostException)
        {
            // A core that refuses a request says why before it ends the connection.
            if (_connection!.Receive(TimeSpan.Zero) is not { } reply)
                throw;
            using (reply)
                throw reply.IsError ? ErrorReply.Read(reply.CopyHeader()).ToException() : new ProtocolException($"core at {_session.Options.Address}: it answered before it had the request");
        }
    }

    private ClientReply Check(ClientReply reply)
    {
        if (reply.RequestId == _id || reply.IsError)
            return reply;
        ulong answered = reply.RequestId;
        reply.Dispose();
        throw new ProtocolException($"core at {_session.Options.Address}: it answered request {answered}, asked was {_id}");
    }

    private void Use(ClientConnection connection)
    {
        _connection = connection;
        TimeSpan left = _deadline.Left - ClientSession.Grace;
        TimeSpan asked = _request.Timeout == TimeSpan.Zero && _lost == 0 ? TimeSpan.Zero : Longer(left, TimeSpan.FromMilliseconds(1));
        connection.Message.Use(_request);
        connection.Message.Rewind(_id, _session.Ids.GetAcknowledged(), asked, shared: connection.Memory is not null && _request.Type == (ushort)MessageType.Get);
    }

    private void LoseConnection()
    {
        _connection?.Dispose();
        _connection = null;
        _attempt?.Dispose();
        _attempt = null;
        _lost++;
        _session.Counters.CountRepeat();
        if (_lost >= MostAttempts)
            throw new ConnectionLostException($"core at {_session.Options.Address}: the connection ended {_lost} times while {(MessageType)_request.Type} waited for its answer; look at the core's log");
        _pause = Deadline.After(PauseBefore(_lost));
    }

    private void End(ClientReply reply)
    {
        _session.Counters.CountReceived(reply.Frames.Count);
        _connection!.Message.Clear();
        if (reply.RequestId == _id)
            _session.Idle.Return(_connection);
        else
            _connection.Dispose(); // an error about no request of ours: the core ends the connection
        _connection = null;
        EndExchange();
    }

    /// <summary>Time before the attempt after <paramref name="lost"/> lost connections: 0, 20, 80, 320 ms; a dead idle connection costs nothing.</summary>
    internal static TimeSpan PauseBefore(int lost) => lost <= 1 ? TimeSpan.Zero : TimeSpan.FromMilliseconds(5 << (2 * (lost - 1)));

    /// <summary>The error of a request that got no answer in time.</summary>
    internal static DeadlineExceededException Late(ushort type, TimeSpan timeout) =>
        new($"{(MessageType)type}: no answer within {timeout.TotalSeconds:0.###} s; give it more time (timeout_s), or see whether the core is stopped")
        {
            Data = { ["type"] = ((MessageType)type).ToString(), ["timeout_ms"] = (long)timeout.TotalMilliseconds },
        };

    private static TimeSpan Longer(TimeSpan one, TimeSpan other) => one > other ? one : other;
}

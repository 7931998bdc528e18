namespace TransferQueue.Client;

/// <summary>
/// One connection for all submitted requests of a session. Submitting threads send, as far as there is room at once; one thread of
/// its own receives, matches answers by request id, watches deadlines, and connects again when the connection ends.
/// </summary>
/// <remarks>Thread-safe. One lock guards all fields; nothing waits under it. The thread starts with the first request.</remarks>
internal sealed class Multiplexer(ClientSession session) : IDisposable
{
    /// <summary>Header and payload bytes up to which a request is copied and shares the connection.</summary>
    public const long MostBytes = 1 << 20;

    /// <summary>How often deadlines are looked at; also how long the thread waits at a time.</summary>
    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(100);

    private readonly Lock _gate = new();

    /// <summary>Requests without an answer, by id; also completed ones that were not noticed yet.</summary>
    private readonly SortedDictionary<ulong, MultiplexedCall> _pending = [];

    /// <summary>Those that are not sent whole, in order; only the first may be sent in part.</summary>
    private readonly Queue<MultiplexedCall> _outbox = new();

    /// <summary>The connection after its handshake; null while there is none.</summary>
    private ClientConnection? _connection;
    private bool _hasThread;
    private bool _waitsForRoom;

    /// <summary>Whether the connection is of no use any more; its thread sees that within a slice.</summary>
    private volatile bool _isBroken;
    private volatile bool _isDisposed;

    /// <summary>Sends a request, now or as soon as possible; its outcome comes by its queue.</summary>
    public void Submit(MultiplexedCall call)
    {
        lock (_gate)
        {
            if (_isDisposed)
            {
                call.Retire();
                throw session.ClosedHere();
            }
            _pending.Add(call.Id, call);
            _outbox.Enqueue(call);
            if (!_hasThread)
                StartThread();
            Flush();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            _connection = null;
            FailAll(session.ClosedHere());
        }
    }

    private void StartThread()
    {
        _hasThread = true;
        new Thread(Run) { IsBackground = true, Name = "TransferQueue client" }.UnsafeStart();
    }

    private void Run()
    {
        try
        {
            while (Connect() is { } connection)
                Serve(connection);
        }
        catch (Exception error)
        {
            lock (_gate)
                FailAll(error);
        }
        finally
        {
            lock (_gate)
            {
                _hasThread = false;
                if (_pending.Count > 0 && !_isDisposed)
                    StartThread(); // submitted after the last look
            }
        }
    }

    /// <summary>Connects; null when nothing is left to send.</summary>
    private ClientConnection? Connect()
    {
        var attempt = new ConnectionAttempt(session);
        try
        {
            while (HasWork(out TimeSpan pause))
            {
                if (!attempt.HasConnected)
                    Thread.Sleep(pause);
                try
                {
                    if (attempt.Step(Slice) is { } connection)
                        return connection;
                }
                catch (ConnectionLostException) when (attempt.HasConnected)
                {
                    lock (_gate)
                        CountLost();
                    attempt.Dispose();
                    attempt = new ConnectionAttempt(session);
                }
            }
            return null;
        }
        finally
        {
            attempt.Dispose();
        }
    }

    private bool HasWork(out TimeSpan pause)
    {
        lock (_gate)
        {
            Sweep();
            bool hasWork = !_isDisposed && _pending.Count > 0;
            pause = hasWork ? BlockingCall.PauseBefore(_pending.Values.Max(call => call.Lost)) : TimeSpan.Zero;
            return hasWork;
        }
    }

    private void Serve(ClientConnection connection)
    {
        try
        {
            lock (_gate)
            {
                _isBroken = false;
                _connection = _isDisposed ? null : connection;
                SendAgain();
            }
            var nextSweep = Deadline.After(Slice);
            while (!_isDisposed && !_isBroken)
            {
                if (connection.Receive(Slice) is { } reply)
                    Dispatch(reply);
                if (!nextSweep.IsOver)
                    continue;
                nextSweep = Deadline.After(Slice);
                lock (_gate)
                    Sweep();
            }
            lock (_gate)
                CountLost();
        }
        catch (ConnectionLostException)
        {
            lock (_gate)
                CountLost();
        }
        finally
        {
            lock (_gate)
                _connection = null;
            connection.Dispose();
        }
    }

    private void Dispatch(ClientReply reply)
    {
        session.Counters.CountReceived(reply.Frames.Count);
        MultiplexedCall? call;
        lock (_gate)
        {
            // A refusal may come before the request is sent whole; its rest must follow nevertheless.
            if (_pending.TryGetValue(reply.RequestId, out call) && call.Message.IsSent)
                Forget(call);
        }
        if (call is null)
            reply.Dispose(); // nobody waits for it any more
        else
            Complete(call, reply);
    }

    private static void Complete(MultiplexedCall call, ClientReply reply)
    {
        try
        {
            if (!call.IsCompleted)
                reply.ViewFrames();
            call.Complete(reply);
        }
        catch (TransferQueueException wrong)
        {
            reply.Dispose();
            call.Complete(wrong);
        }
    }

    /// <summary>Ends late calls and forgets completed ones. Under the lock.</summary>
    private void Sweep()
    {
        foreach (MultiplexedCall call in _pending.Values.Where(call => call.IsLate || call.IsCompleted).ToList())
        {
            bool isHalfSent = call.Message is { HasStarted: true, IsSent: false };
            if (isHalfSent && !call.IsLate)
                continue;
            if (isHalfSent)
                Break(); // the core waits for the rest of it, nothing else can be sent
            if (call.IsLate)
                call.Complete(call.Late());
            GiveUp(call);
        }
    }

    /// <summary>Sends what there is room for. Under the lock.</summary>
    private void Flush()
    {
        while (_connection is { } connection && !_waitsForRoom && _outbox.TryPeek(out MultiplexedCall? call))
        {
            if (_pending.ContainsKey(call.Id) && (!call.IsCompleted || call.Message.HasStarted) && !TrySend(connection, call))
                return;
            _outbox.Dequeue();
        }
    }

    private bool TrySend(ClientConnection connection, MultiplexedCall call)
    {
        try
        {
            if (connection.Send(call.Message, TimeSpan.Zero))
            {
                session.Counters.CountSent(call.Message.Request.FrameLengths.Length);
                return true;
            }
            _waitsForRoom = true;
            ThreadPool.UnsafeQueueUserWorkItem(static multiplexer => multiplexer.FlushSoon(), this, preferLocal: false);
        }
        catch (ConnectionLostException)
        {
            Break();
        }
        return false;
    }

    private void FlushSoon()
    {
        Thread.Sleep(1); // a socket's buffer lasts a core about that long
        lock (_gate)
        {
            _waitsForRoom = false;
            Flush();
        }
    }

    /// <summary>Nothing more is sent; the thread drops the connection, which only it may, and connects again. Under the lock.</summary>
    private void Break()
    {
        _isBroken = true;
        _connection = null;
    }

    /// <summary>Fills the outbox with all that has no answer, oldest first. Under the lock.</summary>
    private void SendAgain()
    {
        _outbox.Clear();
        foreach (MultiplexedCall call in _pending.Values)
        {
            if (call.Message.HasStarted)
                session.Counters.CountRepeat();
            call.Rewind();
            _outbox.Enqueue(call);
        }
        Flush();
    }

    /// <summary>The connection has ended: ends calls for which that was once too often. Under the lock.</summary>
    private void CountLost()
    {
        foreach (MultiplexedCall call in _pending.Values.ToList())
            if (++call.Lost >= BlockingCall.MostAttempts)
                Fail(call, new ConnectionLostException($"core at {session.Options.Address}: the connection ended {call.Lost} times while a request waited for its answer; look at the core's log"));
    }

    private void FailAll(Exception error)
    {
        foreach (MultiplexedCall call in _pending.Values.ToList())
            Fail(call, error);
    }

    private void Fail(MultiplexedCall call, Exception error)
    {
        GiveUp(call);
        call.Complete(error);
    }

    /// <summary>No answer of this call will be read: the core need not keep a lease for it. Under the lock.</summary>
    private void GiveUp(MultiplexedCall call)
    {
        if (call.IsGet && call.Message.HasStarted)
            session.Memory?.Sender.AddReply(call.Id);
        Forget(call);
    }

    private void Forget(MultiplexedCall call)
    {
        _pending.Remove(call.Id);
        call.Retire();
    }
}

using System.Runtime.InteropServices;
using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>
/// Serves Unix connections on one thread, the one that calls <see cref="Run"/>: it accepts, reads headers, calls the handler and sends short
/// replies. Payload of more than 256 KiB is moved by <see cref="PayloadMover"/> threads. It works both ways round: a client's connected
/// socket that was adopted brings replies to the handler as a server's brings requests.
/// </summary>
/// <remarks>
/// The thread of the loop is the only one that touches connections, but for what a mover holds (ServerConnection says which).
/// <see cref="Post"/>, <see cref="RunOnWorker"/> and <see cref="Stop"/> are for any thread, everything else for the loop's.
/// </remarks>
internal sealed unsafe partial class ServerLoop : IDisposable
{
    private const long ListenKey = 0;
    private const long WakeKey = 1;
    private const long FirstConnectionId = 16;
    private const int ScratchBytes = 64 << 10;

    /// <summary>How often connections are looked through for deadlines of the transport's own.</summary>
    private const long InspectionMilliseconds = 250;

    private readonly ServerLoopOptions _options;
    private readonly IServerHandler _handler;
    private readonly Epoll _epoll = new();
    private readonly EventFd _wake = new();
    private readonly PayloadMover[] _movers;
    private readonly WorkerPool _workers;
    private readonly Dictionary<long, ServerConnection> _connections = [];
    private readonly byte* _scratch = (byte*)NativeMemory.AlignedAlloc(ScratchBytes, 64);
    private readonly ulong[] _frameLengths;
    private readonly ulong[] _places;

    /// <summary>Connections with replies to send; with bytes to read that this round had no time for; that ended in this round.</summary>
    private readonly List<ServerConnection> _dirty = [];
    private readonly List<ServerConnection> _ready = [];
    private readonly List<ServerConnection> _ended = [];
    private readonly Stack<OutgoingMessage> _spareMessages = new();

    private readonly Lock _gate = new();

    /// <summary>What other threads handed over; guarded by the gate. The loop swaps it with an empty list.</summary>
    private List<Posted> _posted = [];
    private List<Posted> _pickedUp = [];
    private long _nextId = FirstConnectionId;
    private long _nextInspection;
    private volatile bool _isStopping;
    private bool _isDisposed;

    public ServerLoop(ServerLoopOptions options, IServerHandler handler)
    {
        _options = options;
        _handler = handler;
        _spareFd = LibcSockets.open("/dev/null", LibcSockets.O_CLOEXEC, 0);
        _frameLengths = new ulong[options.Limits.Frames];
        _places = new ulong[options.Limits.Frames];
        _workers = new WorkerPool(options.WorkerThreads, "tq-worker");
        _movers = new PayloadMover[options.MoverThreads];
        for (int i = 0; i < _movers.Length; i++)
            _movers[i] = new PayloadMover(i, job => HandOver(new Posted(null, job)));
        _epoll.Add(_wake.Fd, EpollEvents.Read, WakeKey);
        if (options.ListenFd < 0)
            return;
        // Its owner may have made it blocking: accepting until nobody is left would then wait for the next one.
        Errno.Check(Libc.fcntl(options.ListenFd, LibcSockets.F_SETFL, LibcSockets.O_NONBLOCK), "listening socket: making it non-blocking");
        _epoll.Add(options.ListenFd, EpollEvents.Read, ListenKey);
    }

    private readonly record struct Posted(Action? Action, MoveJob? Job);

    /// <summary>Connections now. Approximate on other threads, as all counters.</summary>
    public int ConnectionCount => _connections.Count;

    /// <summary>Connections that were ever accepted or adopted.</summary>
    public long AcceptedCount { get; private set; }

    /// <summary>Connections that were closed at once: another user's, or over the limit.</summary>
    public long RefusedCount { get; private set; }

    /// <summary>Messages whose header was given to the handler.</summary>
    public long MessageCount { get; private set; }

    /// <summary>Calls to the kernel that the loop made to read from a connection and to write to one; a short request and its reply cost one each.</summary>
    public long ReadCalls { get; private set; }

    /// <inheritdoc cref="ReadCalls"/>
    public long WriteCalls { get; private set; }

    /// <summary>Exceptions that came out of the handler: faults of ours.</summary>
    public long FaultCount { get; private set; }

    /// <summary>The last of them.</summary>
    public Exception? LastFault { get; private set; }

    /// <summary>Serves until <see cref="Stop"/>, then ends all connections. Call it once.</summary>
    public void Run()
    {
        _nextInspection = Environment.TickCount64 + InspectionMilliseconds;
        while (!_isStopping)
            RunRound(_epoll.Wait(NextWait()));
        if (_options.ListenFd >= 0)
            _epoll.Remove(_options.ListenFd);
        EndAll();
        while (_connections.Count > 0)
            RunRound(_epoll.Wait(100)); // movers hand their jobs back: the sockets are shut down
        _workers.Dispose();
        RunPosted();
    }

    /// <summary>Makes <see cref="Run"/> return. Any thread.</summary>
    public void Stop()
    {
        _isStopping = true;
        _wake.Signal();
    }

    /// <summary>Runs an action on the loop's thread, soon. Any thread. Dropped when the loop has ended.</summary>
    public void Post(Action action) => HandOver(new Posted(action, null));

    /// <summary>Runs work on a worker thread, then its end on the loop's thread. Any thread.</summary>
    /// <param name="work">What takes long, or touches files.</param>
    /// <param name="thenOnLoop">Called with the exception that ended the work, or null.</param>
    public void RunOnWorker(Action work, Action<Exception?> thenOnLoop) => _workers.Run(() =>
    {
        Exception? fault = null;
        try
        {
            work();
        }
#pragma warning disable CA1031 // whatever it is, the loop's side decides
        catch (Exception e)
#pragma warning restore CA1031
        {
            fault = e;
        }
        Post(() => thenOnLoop(fault));
    });

    /// <summary>An empty message, recycled after it was sent or dropped.</summary>
    public OutgoingMessage RentMessage() => _spareMessages.TryPop(out OutgoingMessage? message) ? message : new OutgoingMessage();

    /// <summary>Frees everything; <see cref="Run"/> has returned. The listening socket stays open.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        foreach (PayloadMover mover in _movers)
            mover.Dispose();
        _epoll.Dispose();
        _wake.Dispose();
        if (_spareFd >= 0)
            _ = Libc.close(_spareFd);
        NativeMemory.AlignedFree(_scratch);
    }

    private void HandOver(Posted posted)
    {
        bool isFirst;
        lock (_gate)
        {
            isFirst = _posted.Count == 0;
            _posted.Add(posted);
        }
        if (isFirst)
            _wake.Signal();
    }

    private void RunRound(int events)
    {
        for (int i = 0; i < events; i++)
        {
            Dispatch(_epoll[i].Events, _epoll[i].Key);
            Settle();
        }
        for (int i = _ready.Count; i > 0; i--) // only those that stand there now: newcomers wait for the next round
        {
            ServerConnection connection = _ready[0];
            _ready.RemoveAt(0);
            connection.IsInReadyList = false;
            ReadOn(connection);
            Settle();
        }
        Inspect();
    }

    private void Dispatch(EpollEvents events, long key)
    {
        if (key == WakeKey)
            RunPosted();
        else if (key == ListenKey)
            AcceptAll();
        else if (_connections.TryGetValue(key, out ServerConnection? connection))
            Notice(connection, events);
        else if (_watches.TryGetValue(key, out FdWatch? watch))
            watch.Run();
    }

    private void Notice(ServerConnection connection, EpollEvents events)
    {
        const EpollEvents Ended = EpollEvents.PeerEnded | EpollEvents.HangUp | EpollEvents.Error;
        connection.HasPeerEnded |= (events & Ended) != 0;
        connection.HasHungUp |= (events & (EpollEvents.HangUp | EpollEvents.Error)) != 0;
        EndIfNobodyWaits(connection);
        if ((events & (EpollEvents.Write | Ended)) != 0 && connection.IsWriteBlocked)
        {
            SetWriteBlocked(connection, false);
            Flush(connection);
        }
        if ((events & (EpollEvents.Read | Ended)) == 0)
            return;
        connection.IsReadable = true;
        ReadOn(connection);
    }

    private void RunPosted()
    {
        _wake.Clear();
        lock (_gate)
            (_posted, _pickedUp) = (_pickedUp, _posted);
        foreach (Posted posted in _pickedUp)
        {
            if (posted.Job is { IsReceive: true } receive)
                ReceiveMoved(receive);
            else if (posted.Job is { } send)
                SendMoved(send);
            else
                Guard(null, posted.Action!);
            Settle();
        }
        _pickedUp.Clear();
    }

    /// <summary>Sends what handlers have queued, and buries connections that ended.</summary>
    private void Settle()
    {
        while (_dirty.Count > 0 || _ended.Count > 0)
        {
            for (int i = 0; i < _dirty.Count; i++)
            {
                _dirty[i].IsDirty = false;
                Flush(_dirty[i]);
            }
            _dirty.Clear();
            for (int i = 0; i < _ended.Count; i++)
                Bury(_ended[i]);
            _ended.Clear();
        }
    }

    private int NextWait()
    {
        long now = Environment.TickCount64;
        long next = long.MaxValue;
        try
        {
            next = _handler.Tick(now);
        }
#pragma warning disable CA1031 // the loop must outlive its handler's faults
        catch (Exception e)
#pragma warning restore CA1031
        {
            NoteFault(e);
        }
        Settle();
        if (_ready.Count > 0)
            return 0;
        if (_connections.Count > 0)
            next = Math.Min(next, _nextInspection);
        return next == long.MaxValue ? -1 : (int)Math.Clamp(next - now, 0, int.MaxValue);
    }

    /// <summary>Calls into the handler; an exception ends the connection that it concerns.</summary>
    private void Guard(ServerConnection? connection, Action call)
    {
        try
        {
            call();
        }
#pragma warning disable CA1031 // the loop must outlive its handler's faults
        catch (Exception e)
#pragma warning restore CA1031
        {
            NoteFault(e);
            if (connection is not null)
                End(connection, $"the server has a fault: {e.Message}");
        }
    }

    private void NoteFault(Exception fault)
    {
        FaultCount++;
        LastFault = fault;
    }
}

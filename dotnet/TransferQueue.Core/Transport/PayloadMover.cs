using System.Runtime.InteropServices;
using TransferQueue.Memory.Native;

namespace TransferQueue.Transport;

/// <summary>
/// A thread that moves payload between sockets and native memory for many connections in turn. It never waits for one of them: a socket
/// that can't go on is left to the thread's epoll, so a stalled client costs no thread.
/// </summary>
/// <remarks>A connection belongs to one mover for both directions, so its registration is changed by one thread only.</remarks>
internal sealed unsafe class PayloadMover : IDisposable
{
    /// <summary>Bytes that are moved for one connection before the next one has its turn: about a millisecond.</summary>
    private const long SliceBytes = 4 << 20;

    /// <summary>Bytes per call: the kernel can be interrupted between calls, and the peer sees them early.</summary>
    private const long CallBytes = 1 << 20;

    private const long ScratchBytes = 256 << 10;
    private const long WakeKey = 0;

    private readonly Action<MoveJob> _done;
    private readonly Epoll _epoll = new();
    private readonly EventFd _wake = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<long, ServerConnection> _registered = [];
    private readonly List<MoveJob> _active = [];
    private readonly byte* _scratch = (byte*)NativeMemory.AlignedAlloc((nuint)ScratchBytes, 64);
    private readonly Thread _thread;

    /// <summary>Jobs that were submitted and not picked up yet; guarded by the gate.</summary>
    private List<MoveJob> _submitted = [];
    private List<MoveJob> _pickedUp = [];
    private volatile bool _isStopping;

    /// <summary>Starts the thread.</summary>
    /// <param name="number">For the thread's name.</param>
    /// <param name="done">Called on the mover's thread for each finished job; must hand it to the loop.</param>
    public PayloadMover(int number, Action<MoveJob> done)
    {
        _done = done;
        _epoll.Add(_wake.Fd, EpollEvents.Read, WakeKey);
        _thread = new Thread(Run) { IsBackground = true, Name = $"tq-mover-{number}" };
        _thread.Start();
    }

    /// <summary>Gives the mover a job. Any thread.</summary>
    public void Submit(MoveJob job)
    {
        job.Failure = null;
        bool isFirst;
        lock (_gate)
        {
            isFirst = _submitted.Count == 0;
            _submitted.Add(job);
        }
        if (isFirst)
            _wake.Signal();
    }

    /// <summary>Ends the thread; the caller has seen all jobs come back.</summary>
    public void Dispose()
    {
        if (_isStopping)
            return;
        _isStopping = true;
        _wake.Signal();
        _thread.Join();
        _epoll.Dispose();
        _wake.Dispose();
        NativeMemory.AlignedFree(_scratch);
    }

    private void Run()
    {
        while (!_isStopping)
        {
            int count = _epoll.Wait(_active.Count > 0 ? 0 : -1);
            for (int i = 0; i < count; i++)
                Dispatch(_epoll[i].Events, _epoll[i].Key);
            for (int i = _active.Count - 1; i >= 0; i--)
                Continue(i);
        }
    }

    private void Dispatch(EpollEvents events, long key)
    {
        if (key == WakeKey)
        {
            PickUp();
            return;
        }
        if (!_registered.TryGetValue(key, out ServerConnection? connection))
            return;
        const EpollEvents Ended = EpollEvents.Error | EpollEvents.HangUp;
        if ((events & (EpollEvents.Read | EpollEvents.PeerEnded | Ended)) != 0)
            WakeUp(connection.ReceiveJob);
        if ((events & (EpollEvents.Write | Ended)) != 0)
            WakeUp(connection.SendJob);
        if (connection.ReceiveJob.IsWaiting || connection.SendJob.IsWaiting)
            Register(connection); // one-shot: the other direction still waits
    }

    private void PickUp()
    {
        _wake.Clear();
        lock (_gate)
            (_submitted, _pickedUp) = (_pickedUp, _submitted);
        _active.AddRange(_pickedUp);
        foreach (MoveJob job in _pickedUp)
            job.IsInMover = true;
        _pickedUp.Clear();
    }

    private void WakeUp(MoveJob job)
    {
        if (!job.IsWaiting)
            return;
        job.IsWaiting = false;
        _active.Add(job);
    }

    /// <summary>Moves a slice of the active job at <paramref name="index"/>, which leaves the list unless there is more to do at once.</summary>
    private void Continue(int index)
    {
        MoveJob job = _active[index];
        long moved = 0;
        while (moved < SliceBytes)
        {
            long bytes = job.IsReceive ? Receive(job.Connection) : SocketIO.Send(job.Connection.Fd, job.Message!, CallBytes);
            if (bytes == SocketIO.WouldBlock)
            {
                _active.RemoveAt(index);
                Wait(job);
                return;
            }
            if (bytes <= 0)
                job.Failure = bytes == 0 ? "closed by its peer in the middle of a payload" : Errno.ToException("connection", (int)-bytes).Message;
            if (job.Failure is not null || IsComplete(job))
            {
                _active.RemoveAt(index);
                HandBack(job);
                return;
            }
            moved += bytes;
        }
    }

    private static bool IsComplete(MoveJob job) =>
        job.IsReceive ? job.Connection.PayloadLeft == 0 : job.Message!.RemainingBytes == 0;

    private long Receive(ServerConnection connection)
    {
        long most = Math.Min(connection.PayloadLeft, CallBytes);
        ReceivePlan plan = connection.Plan!;
        long bytes = plan.Kind == ReceivePlanKind.Into
            ? SocketIO.Receive(connection.Fd, plan, most)
            : SocketIO.Receive(connection.Fd, _scratch, Math.Min(most, ScratchBytes));
        if (bytes > 0)
        {
            connection.PayloadLeft -= bytes;
            connection.LastProgress = Environment.TickCount64;
        }
        return bytes;
    }

    private void Wait(MoveJob job)
    {
        job.IsWaiting = true;
        try
        {
            Register(job.Connection);
        }
        catch (TransferQueueException e)
        {
            job.IsWaiting = false;
            job.Failure = e.Message;
            HandBack(job);
        }
    }

    /// <summary>Lets the epoll wait for the directions that can't go on.</summary>
    private void Register(ServerConnection connection)
    {
        EpollEvents events = EpollEvents.OneShot;
        if (connection.ReceiveJob.IsWaiting)
            events |= EpollEvents.Read | EpollEvents.PeerEnded;
        if (connection.SendJob.IsWaiting)
            events |= EpollEvents.Write;
        if (connection.IsMoverRegistered)
            _epoll.Change(connection.Fd, events, connection.Id);
        else
        {
            _epoll.Add(connection.Fd, events, connection.Id);
            _registered.Add(connection.Id, connection);
            connection.IsMoverRegistered = true;
        }
    }

    private void HandBack(MoveJob job)
    {
        ServerConnection connection = job.Connection;
        job.IsInMover = false;
        if (connection.IsMoverRegistered && !connection.ReceiveJob.IsInMover && !connection.SendJob.IsInMover)
        {
            _epoll.Remove(connection.Fd); // the loop may close the socket as soon as it has both jobs back
            _registered.Remove(connection.Id);
            connection.IsMoverRegistered = false;
        }
        _done(job);
    }
}

using TransferQueue.Memory.Native;

namespace TransferQueue.Transport;

/// <summary>How messages come in.</summary>
internal sealed unsafe partial class ServerLoop
{
    /// <summary>Payload up to this many bytes is not worth a change of threads; moving it takes about a tenth of a millisecond.</summary>
    private const long LoopPayloadBytes = 256 << 10;

    /// <summary>From so many bytes on payload goes straight to its place, not through the scratch.</summary>
    private const long DirectBytes = 16 << 10;

    /// <summary>Reads of one connection before others have their turn.</summary>
    private const int ReadsAtOnce = 16;

    /// <summary>Reads until the socket is empty, a mover takes over, or it is others' turn.</summary>
    private void ReadOn(ServerConnection connection)
    {
        if (connection.Continuation is not null)
            Resume(connection);
        for (int reads = 0; reads < ReadsAtOnce; reads++)
        {
            if (!connection.IsReadable || connection.IsReceiving || connection.IsWaiting || connection.IsClosing || connection.IsEnded)
                return;
            ReadCalls++;
            bool isDirect = connection.Plan?.Kind == ReceivePlanKind.Into && connection.PayloadLeft >= DirectBytes;
            long room = isDirect ? connection.PayloadLeft : ScratchBytes;
            long count = isDirect ? SocketIO.Receive(connection.Fd, connection.Plan!, room) : SocketIO.Receive(connection.Fd, _scratch, room);
            if (count <= 0)
            {
                connection.IsReadable = false;
                if (count != SocketIO.WouldBlock)
                    End(connection, count == 0 ? "closed by its peer" : Errno.ToException("connection", (int)-count).Message);
                return;
            }
            if (count < room && !isDirect && !connection.HasPeerEnded)
                connection.IsReadable = false; // a short read emptied the socket; the next bytes make an event (epoll(7))
            if (isDirect)
                NotePayload(connection, count);
            else
                Feed(connection, new ReadOnlySpan<byte>(_scratch, (int)count));
        }
        if (connection.IsReadable && !connection.IsEnded)
            MarkReady(connection);
    }

    private void NotePayload(ServerConnection connection, long bytes)
    {
        connection.PayloadLeft -= bytes;
        connection.LastProgress = Environment.TickCount64;
        if (connection.PayloadLeft == 0)
            FinishPayload(connection);
    }

    private void MarkReady(ServerConnection connection)
    {
        if (connection.IsInReadyList)
            return;
        connection.IsInReadyList = true;
        _ready.Add(connection);
    }

    private void Feed(ServerConnection connection, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty && !connection.IsClosing && !connection.IsEnded)
        {
            if (connection.PayloadLeft > 0)
            {
                int taken = (int)Math.Min(bytes.Length, connection.PayloadLeft);
                connection.LastProgress = Environment.TickCount64;
                connection.TakePayload(bytes[..taken]);
                bytes = bytes[taken..];
                if (connection.PayloadLeft == 0)
                    FinishPayload(connection);
                continue;
            }
            bool isComplete = connection.Head.Take(ref bytes, _options.Limits, out TransferQueueException? error, out ReadOnlySpan<byte> head);
            if (error is not null)
                Reject(connection, error);
            else if (isComplete)
                HandleHead(connection, head);
            if (!connection.IsWaiting)
                continue;
            connection.HoldBack(bytes);
            return;
        }
        if (connection.PayloadLeft > LoopPayloadBytes && !connection.IsEnded && !connection.IsClosing)
            StartReceive(connection);
    }

    private void HandleHead(ServerConnection connection, ReadOnlySpan<byte> head)
    {
        ref readonly Prelude prelude = ref connection.Head.Prelude;
        Span<ulong> lengths = _frameLengths.AsSpan(0, (int)prelude.FrameCount);
        MessageHead.CopyLengths(head, lengths);
        MessageCount++;
        connection.HasSpoken = true;
        Span<ulong> places = prelude.HasPlaces ? _places.AsSpan(0, lengths.Length) : [];
        MessageHead.CopyPlaces(head, places);
        ReceivePlan plan = CallHeader(connection, prelude, lengths, places, head[^(int)prelude.HeaderBytes..]);
        long payload = (long)prelude.PayloadBytes;
        connection.Head.Clear();
        BeginPayload(connection, plan, payload);
    }

    private ReceivePlan CallHeader(
        ServerConnection connection, in Prelude prelude, ReadOnlySpan<ulong> lengths, ReadOnlySpan<ulong> places, ReadOnlySpan<byte> header)
    {
        try
        {
            return _handler.Header(connection, prelude, lengths, places, header);
        }
#pragma warning disable CA1031 // the loop must outlive its handler's faults
        catch (Exception e)
#pragma warning restore CA1031
        {
            NoteFault(e);
            End(connection, $"the server has a fault: {e.Message}");
            return ReceivePlan.Skip;
        }
    }

    private void BeginPayload(ServerConnection connection, ReceivePlan plan, long payload)
    {
        if (plan.Kind == ReceivePlanKind.Close)
        {
            CloseAfterFlush(connection, "refused by the server");
            return;
        }
        if (plan.Kind == ReceivePlanKind.Wait)
        {
            connection.IsWaiting = true;
            connection.PayloadLeft = payload;
            EndIfNobodyWaits(connection);
            return;
        }
        if (plan.Kind == ReceivePlanKind.Into)
        {
            connection.Plan = plan;
            if (plan.Bytes != payload)
            {
                NoteFault(new InvalidOperationException($"a plan for {plan.Bytes} bytes of a payload of {payload}"));
                End(connection, "the server has a fault: a wrong receive plan"); // burying it reports the payload as lost
                return;
            }
        }
        else if (payload > 0)
            connection.Plan = ReceivePlan.Skip;
        connection.PayloadLeft = payload;
        connection.LastProgress = Environment.TickCount64;
        if (payload == 0 && connection.Plan is not null)
            FinishPayload(connection);
    }

    private void FinishPayload(ServerConnection connection)
    {
        ReceivePlan plan = connection.Plan!;
        connection.Plan = null;
        if (plan.Kind != ReceivePlanKind.Into)
            return;
        try
        {
            _handler.PayloadReceived(connection, plan);
        }
#pragma warning disable CA1031 // the loop must outlive its handler's faults
        catch (Exception e)
#pragma warning restore CA1031
        {
            NoteFault(e);
            End(connection, $"the server has a fault: {e.Message}");
        }
    }

    private void Reject(ServerConnection connection, TransferQueueException why)
    {
        Prelude prelude = connection.Head.Prelude;
        connection.Head.Clear();
        Guard(connection, () => _handler.Rejected(connection, prelude, why));
        CloseAfterFlush(connection, why.Message);
    }

    private void StartReceive(ServerConnection connection)
    {
        connection.IsReceiving = true;
        SetInterest(connection, connection.Interest & ~(EpollEvents.Read | EpollEvents.PeerEnded)); // else each arriving piece wakes the loop
        MoverOf(connection).Submit(connection.ReceiveJob);
    }

    private void ReceiveMoved(MoveJob job)
    {
        ServerConnection connection = job.Connection;
        connection.IsReceiving = false;
        if (job.Failure is { } failure)
            End(connection, failure);
        if (connection.IsEnded)
        {
            BuryWhenIdle(connection);
            return;
        }
        SetInterest(connection, connection.Interest | EpollEvents.Read | EpollEvents.PeerEnded);
        FinishPayload(connection);
        connection.IsReadable = true;
        ReadOn(connection);
    }

    private PayloadMover MoverOf(ServerConnection connection) => _movers[(int)(connection.Id % _movers.Length)];

    /// <summary>An ended connection came back from a mover; it can be buried when the other direction has come back too.</summary>
    private void BuryWhenIdle(ServerConnection connection)
    {
        if (!connection.IsReceiving && !connection.IsSending)
            _ended.Add(connection);
    }
}

using System.Buffers;
using TransferQueue.Memory;

namespace TransferQueue.Transport;

/// <summary>One connection of a <see cref="ServerLoop"/>. All members on the loop's thread only, unless they say otherwise.</summary>
internal sealed class ServerConnection
{
    private readonly ServerLoop _loop;

    internal ServerConnection(ServerLoop loop, long id, int fd, (int Pid, uint Uid) peer)
    {
        _loop = loop;
        Id = id;
        Fd = fd;
        PeerProcessId = peer.Pid;
        PeerUid = peer.Uid;
        ReceiveJob = new MoveJob(this, isReceive: true);
        SendJob = new MoveJob(this, isReceive: false);
    }

    /// <summary>Unique in the life of its loop. Any thread.</summary>
    public long Id { get; }

    /// <summary>The process that connected, as it was then (unix(7), SO_PEERCRED); 0: it lives where this process can't see it. Any thread.</summary>
    public int PeerProcessId { get; }

    /// <summary>Its user. Any thread.</summary>
    public uint PeerUid { get; }

    /// <summary>Whatever the handler keeps for this connection.</summary>
    public object? State { get; set; }

    /// <summary>Bytes that were sent to it and that the kernel has not taken yet.</summary>
    public long PendingBytes { get; internal set; }

    /// <summary>Whether messages sent to it still have a chance to arrive.</summary>
    public bool IsOpen => !IsEnded;

    /// <summary>Why it ended, or is about to; null while it goes on.</summary>
    public string? EndReason { get; internal set; }

    /// <summary>Queues a sealed message. Never waits, never fails: what can't be sent is dropped, and its completion says so.</summary>
    public void Send(OutgoingMessage message) => _loop.Send(this, message);

    /// <summary>Reads nothing more, sends what is queued, then ends the connection.</summary>
    public void CloseAfterFlush(string reason) => _loop.CloseAfterFlush(this, reason);

    /// <summary>Ends the connection now; queued messages are dropped.</summary>
    public void Abort(string reason) => _loop.End(this, reason);

    internal int Fd { get; }

    /// <summary>What the loop's epoll waits for on this socket.</summary>
    internal EpollEvents Interest { get; set; }

    /// <summary>There may be bytes to read; only a read that came back empty or short resets it (the epoll is edge-triggered).</summary>
    internal bool IsReadable { get; set; }

    /// <summary>The peer has ended its side: read until that shows, also after a short read.</summary>
    internal bool HasPeerEnded { get; set; }

    /// <summary>The socket is closed on the other side: nobody will read a reply.</summary>
    internal bool HasHungUp { get; set; }

    /// <summary>The kernel took less than it was given; its epoll says when it takes more.</summary>
    internal bool IsWriteBlocked { get; set; }

    /// <summary>It stands in the loop's list of connections to be flushed.</summary>
    internal bool IsDirty { get; set; }

    /// <summary>It stands in the loop's list of connections to be read on.</summary>
    internal bool IsInReadyList { get; set; }

    /// <summary>Nothing more is read; it ends when everything is sent.</summary>
    internal bool IsClosing { get; set; }

    /// <summary>When a closing connection ends in any case, in the clock of TickCount64.</summary>
    internal long CloseDeadline { get; set; }

    /// <summary>It ends as soon as no mover works on it.</summary>
    internal bool IsEnded { get; set; }

    /// <summary>The socket is closed, the handler was told.</summary>
    internal bool IsGone { get; set; }

    /// <summary>A whole header came at least once.</summary>
    internal bool HasSpoken { get; set; }

    /// <summary>When it came.</summary>
    internal long ConnectedAt { get; init; }

    internal MessageHead Head { get; } = new();

    /// <summary>Where the payload that is being received goes; null between payloads.</summary>
    internal ReceivePlan? Plan { get; set; }

    /// <summary>Bytes of the payload that are still to come. Belongs to the mover while <see cref="IsReceiving"/>.</summary>
    internal long PayloadLeft { get; set; }

    /// <summary>The payload waits for another plan (<see cref="ReceivePlan.Wait"/>); nothing is read.</summary>
    internal bool IsWaiting { get; set; }

    /// <summary>The plan that a waiting payload goes on with, until its turn comes.</summary>
    internal ReceivePlan? Continuation { get; set; }

    /// <summary>A mover receives the payload.</summary>
    internal bool IsReceiving { get; set; }

    /// <summary>A mover sends the first queued message.</summary>
    internal bool IsSending { get; set; }

    internal Queue<OutgoingMessage> Outgoing { get; } = new();

    internal MoveJob ReceiveJob { get; }

    internal MoveJob SendJob { get; }

    /// <summary>Whether its mover's epoll knows the socket. Belongs to the mover.</summary>
    internal bool IsMoverRegistered { get; set; }

    /// <summary>When payload last came in; written by the loop or a mover, read by the loop.</summary>
    internal long LastProgress
    {
        get => Volatile.Read(ref _lastProgress);
        set => Volatile.Write(ref _lastProgress, value);
    }

    private long _lastProgress;

    /// <summary>What was read together with a header whose payload must wait.</summary>
    private byte[]? _heldBack;
    private int _heldBackStart;
    private int _heldBackEnd;

    /// <summary>What was read and has to wait, oldest first.</summary>
    internal ReadOnlySpan<byte> HeldBack => _heldBack.AsSpan(_heldBackStart, _heldBackEnd - _heldBackStart);

    /// <summary>Keeps bytes for later: a copy, or, of what is held back already, its rest.</summary>
    internal void HoldBack(ReadOnlySpan<byte> bytes)
    {
        if (!HeldBack.IsEmpty)
        {
            _heldBackStart = _heldBackEnd - bytes.Length;
            return;
        }
        if (bytes.IsEmpty)
            return;
        _heldBack = ArrayPool<byte>.Shared.Rent(bytes.Length);
        bytes.CopyTo(_heldBack);
        (_heldBackStart, _heldBackEnd) = (0, bytes.Length);
    }

    /// <summary>Forgets what was held back.</summary>
    internal void DropHeldBack()
    {
        if (_heldBack is not null)
            ArrayPool<byte>.Shared.Return(_heldBack);
        _heldBack = null;
        _heldBackStart = _heldBackEnd = 0;
    }

    /// <summary>Copies payload that came with a header to its place.</summary>
    internal unsafe void TakePayload(ReadOnlySpan<byte> bytes)
    {
        PayloadLeft -= bytes.Length;
        if (Plan!.Kind != ReceivePlanKind.Into)
            return;
        while (!bytes.IsEmpty)
        {
            NativeSegment room = Plan.Current;
            int taken = (int)Math.Min(room.Length, bytes.Length);
            bytes[..taken].CopyTo(new Span<byte>(room.Pointer, taken));
            Plan.Advance(taken);
            bytes = bytes[taken..];
        }
    }
}

using System.Diagnostics.CodeAnalysis;
using NetMQ;
using NetMQ.Sockets;

namespace TransferQueue.Transport;

/// <summary>
/// The gateway's side between hosts: a NetMQ ROUTER, served on the thread that calls <see cref="Run"/>. NetMQ collects a multipart message
/// before this code sees a byte of it, so the process' heap limit is the only bound for a stranger's endless message; that is why this runs in a process of its own.
/// </summary>
/// <remarks><see cref="Send"/>, <see cref="Post"/> and <see cref="Stop"/> are for any thread, everything else for the endpoint's.</remarks>
internal sealed class RouterEndpoint : IDisposable
{
    /// <summary>Messages received before queued replies have their turn.</summary>
    private const int MessagesAtOnce = 64;

    /// <summary>Whole messages that NetMQ may hold for one peer and direction.</summary>
    private const int MessagesInNetMQ = 64;

    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(30);

    private readonly RouterEndpointOptions _options;
    private readonly IRouterHandler _handler;
    private readonly RouterSocket _socket = new();
    private readonly NetMQQueue<Posted> _posted = new();
    private readonly NetMQPoller _poller;
    private readonly NetMQTimer _retry = new(Retry) { Enable = false };
    private readonly Dictionary<byte[], RouterPeer> _peers = new(IdentityComparer.Instance);
    private readonly Dictionary<byte[], RouterPeer>.AlternateLookup<ReadOnlySpan<byte>> _peersBySpan;

    /// <summary>Peers with replies that NetMQ had no room for.</summary>
    private readonly HashSet<RouterPeer> _blocked = [];
    private long _heldBytes;
    private bool _isPaused;

    /// <summary>Listens; throws if it can't.</summary>
    /// <exception cref="TransferQueueException">The address can't be listened on.</exception>
    public RouterEndpoint(RouterEndpointOptions options, IRouterHandler handler)
    {
        _ = RecycledBufferPool.Installed;
        _options = options;
        _handler = handler;
        _peersBySpan = _peers.GetAlternateLookup<ReadOnlySpan<byte>>();
        SetOptions();
        try
        {
            _socket.Bind(options.Address);
        }
        catch (Exception e) when (e is NetMQException or System.Net.Sockets.SocketException or ArgumentException)
        {
            _socket.Dispose();
            _posted.Dispose();
            throw new TransferQueueException(ErrorKind.TransferQueue, $"gateway: listening on {options.Address}: {e.Message}; choose another address", e);
        }
        Port = new Uri(_socket.Options.LastEndpoint!).Port;
        _socket.ReceiveReady += ReceiveSome;
        _posted.ReceiveReady += (_, _) => RunPosted();
        _retry.Elapsed += (_, _) => RetryBlocked();
        _poller = [_socket, _posted, _retry];
    }

    private readonly record struct Posted(Action? Action, RouterPeer? Peer, MultipartMessage? Message);

    /// <summary>The port that it listens on.</summary>
    public int Port { get; }

    /// <summary>Peers that have sent something and are connected.</summary>
    public int PeerCount => _peers.Count;

    /// <summary>Exceptions that came out of the handler: faults of ours.</summary>
    public long FaultCount { get; private set; }

    /// <summary>The last of them.</summary>
    public Exception? LastFault { get; private set; }

    /// <summary>Serves until <see cref="Stop"/>.</summary>
    public void Run()
    {
        _poller.Run();
        foreach (RouterPeer peer in _peers.Values.ToArray())
            Forget(peer, "the gateway stops");
    }

    /// <summary>Makes <see cref="Run"/> return. Any thread.</summary>
    public void Stop() => Post(_poller.StopAsync);

    /// <summary>Runs an action on the endpoint's thread. Any thread.</summary>
    public void Post(Action action) => _posted.Enqueue(new Posted(action, null, null));

    /// <summary>Sends a message, which is the endpoint's from now on. Any thread. Never waits; what can't be sent is dropped.</summary>
    public void Send(RouterPeer peer, MultipartMessage message) => _posted.Enqueue(new Posted(null, peer, message));

    /// <summary>Gives a peer up, and says so to it: nothing more is sent to it or heard from it. NetMQ keeps its TCP connection.</summary>
    public void GiveUp(RouterPeer peer, string reason)
    {
        peer.IsIgnored = true;
        SayFarewell(peer);
        Forget(peer, reason);
        _peers.TryAdd(peer.Identity, peer); // so that what it still sends is not taken for a newcomer's
    }

    /// <summary>Frees everything; <see cref="Run"/> has returned or was never called.</summary>
    public void Dispose()
    {
        _poller.Dispose();
        _socket.Dispose();
        while (_posted.TryDequeue(out Posted posted, TimeSpan.Zero))
            posted.Message?.Dispose();
        _posted.Dispose();
    }

    private void SetOptions()
    {
        SocketOptions options = _socket.Options;
        options.Linger = TimeSpan.Zero;
        options.RouterMandatory = true; // else a reply to a peer that left vanishes unseen
        options.MaxMsgSize = Math.Min(MultipartMessage.MostFrameBytes, _options.Limits.FrameBytes + _options.Limits.HeaderBytes);
        options.ReceiveHighWatermark = MessagesInNetMQ;
        options.SendHighWatermark = MessagesInNetMQ;
        options.DisconnectMessage = MultipartMessage.Farewell;
        options.TcpKeepalive = true; // a host that vanished without a word
        options.TcpKeepaliveIdle = KeepAlive;
        options.TcpKeepaliveInterval = KeepAlive / 3;
    }

    private void ReceiveSome(object? sender, NetMQSocketEventArgs e)
    {
        for (int i = 0; i < MessagesAtOnce && !_isPaused; i++)
        {
            Msg identity = default;
            identity.InitEmpty();
            if (!_socket.TryReceive(ref identity, TimeSpan.Zero))
            {
                identity.Close();
                return;
            }
            RouterPeer? peer = FindPeer(identity.Slice());
            bool hasMore = identity.HasMore;
            identity.Close();
            if (hasMore)
                Receive(peer);
        }
    }

    /// <returns>Null for a peer that there is no room for.</returns>
    private RouterPeer? FindPeer(ReadOnlySpan<byte> identity)
    {
        if (_peersBySpan.TryGetValue(identity, out RouterPeer? peer))
            return peer;
        return _peers.Count < _options.MostPeers ? new RouterPeer(identity.ToArray()) : null;
    }

    private void Receive(RouterPeer? peer)
    {
        var message = new MultipartMessage();
        int frames = message.ReceiveFrames(_socket, _options.Limits.Frames + 1);
        if (peer is null || peer.IsIgnored && !message.IsFarewell)
            message.Dispose();
        else if (message.IsFarewell)
        {
            message.Dispose();
            Forget(peer, "closed by its peer");
        }
        else
            Handle(peer, message, frames);
    }

    private void Handle(RouterPeer peer, MultipartMessage message, int frames)
    {
        _peers.TryAdd(peer.Identity, peer);
        TransferQueueException? wrong = message.Check(_options.Limits, out Prelude prelude, out int headerStart);
        if (frames > message.FrameCount)
            wrong = new LimitExceededException($"message: {frames - 1} frames, the limit is {_options.Limits.Frames}; send it in smaller parts");
        if (wrong is not null)
        {
            message.Dispose();
            peer.IsIgnored = true;
            Guard(peer, () => _handler.Rejected(peer, prelude, wrong));
            return;
        }
        Hold(message);
        Guard(peer, () => _handler.Received(peer, prelude, headerStart, message));
    }

    /// <summary>Counts a message that the handler holds; the last one over the bound stops the receiving until some are disposed of.</summary>
    private void Hold(MultipartMessage message)
    {
        message.Released = LetGo;
        if (Interlocked.Add(ref _heldBytes, message.Bytes) <= _options.MostHeldBytes || _isPaused)
            return;
        _isPaused = true;
        _socket.ReceiveReady -= ReceiveSome; // the poller asks no more
    }

    private void LetGo(long bytes)
    {
        long after = Interlocked.Add(ref _heldBytes, -bytes);
        if (after <= _options.MostHeldBytes && after + bytes > _options.MostHeldBytes)
            Post(Resume);
    }

    private void Resume()
    {
        if (!_isPaused || Interlocked.Read(ref _heldBytes) > _options.MostHeldBytes)
            return;
        _isPaused = false;
        _socket.ReceiveReady += ReceiveSome;
    }

    private void RunPosted()
    {
        for (int i = 0; i < MessagesAtOnce && _posted.TryDequeue(out Posted posted, TimeSpan.Zero); i++)
            if (posted.Action is { } action)
                Guard(null, action);
            else
                Queue(posted.Peer!, posted.Message!);
    }

    private void Queue(RouterPeer peer, MultipartMessage message)
    {
        if (peer.IsGone)
        {
            message.Dispose();
            return;
        }
        bool isOver = peer.PendingBytes > _options.MostPendingBytes;
        peer.PendingBytes += message.Bytes;
        peer.Outgoing.Enqueue(message);
        if (isOver)
            GiveUp(peer, $"it doesn't read its replies: {peer.PendingBytes} bytes are waiting");
        else if (!_blocked.Contains(peer))
            Flush(peer);
    }

    private void Flush(RouterPeer peer)
    {
        while (!peer.IsGone && peer.Outgoing.TryPeek(out MultipartMessage? message))
        {
            long bytes = message.Bytes;
            if (!TrySend(peer, message))
            {
                Block(peer);
                return;
            }
            if (peer.IsGone)
                return;
            peer.PendingBytes -= bytes;
            peer.Outgoing.Dequeue();
        }
        _blocked.Remove(peer);
    }

    private bool TrySend(RouterPeer peer, MultipartMessage message)
    {
        Msg identity = default;
        identity.InitGC(peer.Identity, peer.Identity.Length);
        try
        {
            return _socket.TrySend(ref identity, TimeSpan.Zero, more: true) && message.TrySendTo(_socket);
        }
        catch (HostUnreachableException)
        {
            Forget(peer, "closed by its peer");
            return true;
        }
        finally
        {
            if (identity.IsInitialised)
                identity.Close();
        }
    }

    /// <summary>A client of ours connects anew then, and asks again; else it would wait for its answers until their deadlines.</summary>
    private void SayFarewell(RouterPeer peer)
    {
        if (peer.IsGone)
            return;
        using var farewell = new MultipartMessage();
        farewell.AddFrame(MultipartMessage.Farewell.Length);
        MultipartMessage.Farewell.CopyTo(farewell[0]);
        TrySend(peer, farewell); // there may be no room: it doesn't read
    }

    private void Block(RouterPeer peer)
    {
        _blocked.Add(peer);
        _retry.Enable = true; // a ROUTER can't tell when one peer has room again
    }

    private void RetryBlocked()
    {
        foreach (RouterPeer peer in _blocked.ToArray())
            Flush(peer);
        _retry.Enable = _blocked.Count > 0;
    }

    private void Forget(RouterPeer peer, string reason)
    {
        _blocked.Remove(peer);
        bool wasKnown = _peers.Remove(peer.Identity);
        if (peer.IsGone)
            return;
        peer.IsGone = true;
        while (peer.Outgoing.TryDequeue(out MultipartMessage? message))
            message.Dispose();
        peer.PendingBytes = 0;
        if (wasKnown)
            Guard(null, () => _handler.Disconnected(peer, reason));
    }

    private void Guard(RouterPeer? peer, Action call)
    {
        try
        {
            call();
        }
#pragma warning disable CA1031 // the endpoint must outlive its handler's faults
        catch (Exception e)
#pragma warning restore CA1031
        {
            FaultCount++;
            LastFault = e;
            if (peer is not null)
                GiveUp(peer, $"the gateway has a fault: {e.Message}");
        }
    }

    /// <summary>Compares identities by their bytes, also as spans.</summary>
    private sealed class IdentityComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly IdentityComparer Instance = new();

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            HashCode hash = default;
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }
    }
}

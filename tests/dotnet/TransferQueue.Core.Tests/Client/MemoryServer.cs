using System.Collections.Concurrent;
using TransferQueue.Client;
using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using TransferQueue.Protocol;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Client;

/// <summary>A core that knows shared memory and nothing else: it lends room, keeps the last put's places, and answers each GET with them.</summary>
internal sealed unsafe class MemoryServer : IServerHandler, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tq-memory").FullName;
    private readonly Arena _arena = new(new ArenaOptions { CapacityBytes = 256 << 20, GrowthBytes = 1 << 20 });
    private readonly Dictionary<ulong, ReserveReply> _loans = [];
    private readonly ServerLoop _loop;
    private readonly Thread _thread;
    private readonly int _listenFd;
    private long _used;
    private long _leases;

    public MemoryServer(long arenaBytes = 16 << 20)
    {
        _listenFd = UnixSocket.Listen(Path);
        Assert.True(_arena.TryGrow(arenaBytes, 0, out _));
        _loop = new ServerLoop(new ServerLoopOptions { ListenFd = _listenFd }, this);
        _thread = new Thread(_loop.Run) { IsBackground = true };
        _thread.Start();
    }

    public string Path => System.IO.Path.Combine(_folder, "s");

    /// <summary>Requests in the order of their arrival, HELLO left out: type, id, and of RELEASE what.</summary>
    public ConcurrentQueue<(MessageType Type, ulong Id)> Requests { get; } = new();

    public ConcurrentQueue<ReleaseRequest> Releases { get; } = new();

    /// <summary>Where each frame of a GET's answer lies, and how long it is.</summary>
    public List<(ulong Place, long Length)> Stored { get; } = [];

    /// <summary>The next request of this type ends its connection instead of being answered.</summary>
    public MessageType? CutNext { get; set; }

    /// <summary>Requests of this type are not answered.</summary>
    public MessageType? Silent { get; set; }

    /// <summary>Called on the loop's thread when a RELEASE comes.</summary>
    public Action? OnRelease { get; set; }

    public long InlineBytes { get; private set; }

    public int Connections;

    public byte* At(ulong place) => _arena.Address(FramePlace.Segment(place), FramePlace.Offset(place));

    public int Count(MessageType type) => Requests.Count(request => request.Type == type);

    public ClientSession Open(bool shared = true)
    {
        var session = new ClientSession(new ClientOptions { Address = ServerAddress.Parse($"unix://{Path}"), SharedMemory = shared });
        Assert.NotNull(session.Open(TimeSpan.FromSeconds(20)));
        return session;
    }

    /// <summary>What came in a frame.</summary>
    public static Span<byte> Bytes(ClientReply reply, int frame = 0) => new(reply.Frames[frame].Bytes.Pointer, (int)reply.Frames[frame].Bytes.Length);

    public void Connected(ServerConnection connection) => Interlocked.Increment(ref Connections);

    public ReceivePlan Header(ServerConnection connection, in Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places, ReadOnlySpan<byte> header)
    {
        var type = (MessageType)prelude.Type;
        if (type != MessageType.Hello)
            Requests.Enqueue((type, prelude.RequestId));
        if (CutNext == type)
        {
            CutNext = null;
            if (type == MessageType.Reserve)
                Lend(prelude.RequestId, header); // it took effect, the answer was lost
            return ReceivePlan.Close;
        }
        if (Silent != type)
            Answer(connection, prelude, frameLengths, places, header);
        return frameLengths.IsEmpty ? ReceivePlan.None : ReceivePlan.Skip;
    }

    public void PayloadReceived(ServerConnection connection, ReceivePlan plan)
    {
    }

    public void PayloadLost(ServerConnection connection, ReceivePlan plan)
    {
    }

    public void Disconnected(ServerConnection connection, string reason) => Interlocked.Decrement(ref Connections);

    public void Rejected(ServerConnection connection, in Prelude prelude, TransferQueueException why)
    {
    }

    public long Tick(long nowMilliseconds) => long.MaxValue;

    public void Dispose()
    {
        _loop.Stop();
        Assert.True(_thread.Join(TimeSpan.FromSeconds(20)), "the loop did not end");
        _loop.Dispose();
        _arena.Dispose();
        _ = Libc.close(_listenFd);
        Directory.Delete(_folder, recursive: true);
    }

    private void Answer(ServerConnection connection, in Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places, ReadOnlySpan<byte> header)
    {
        OutgoingMessage message = _loop.RentMessage();
        Prelude reply = Prelude.Create((ushort)MessageType.Ok, prelude.RequestId);
        switch ((MessageType)prelude.Type)
        {
            case MessageType.Hello:
                new HelloReply("test", 1, 7, true, ProtocolLimits.Default, 1, 1 << 30, false).WriteHeader(message.Header);
                break;
            case MessageType.Memory:
                message.Fds.Add(_arena.Segments[0].Fd);
                new MemoryReply([new SharedSegment(0, _arena.Segments[0].Length)]).WriteHeader(message.Header);
                break;
            case MessageType.Reserve:
                Lend(prelude.RequestId, header).WriteHeader(message.Header);
                break;
            case MessageType.Put:
                Keep(prelude, frameLengths, places);
                new OkReply().WriteHeader(message.Header);
                break;
            case MessageType.Get:
                if ((prelude.Flags & PreludeFlags.Shared) != 0)
                    reply = reply with { Acknowledged = (ulong)++_leases };
                foreach ((ulong place, long length) in Stored)
                    message.AddPlacedFrame(place, length);
                new OkReply().WriteHeader(message.Header);
                break;
            case MessageType.Release:
                Releases.Enqueue((ReleaseRequest)Request.Read(1, prelude.Type, header.ToArray(), [], ProtocolLimits.Default));
                OnRelease?.Invoke();
                new OkReply().WriteHeader(message.Header);
                break;
            default:
                new OkReply().WriteHeader(message.Header);
                break;
        }
        message.Seal(reply);
        connection.Send(message);
    }

    private void Keep(in Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places)
    {
        InlineBytes += (long)prelude.PayloadBytes;
        Stored.Clear();
        for (int i = 0; i < places.Length; i++)
            if (places[i] != FramePlace.Inline)
                Stored.Add((places[i], (long)frameLengths[i]));
    }

    private ReserveReply Lend(ulong id, ReadOnlySpan<byte> header)
    {
        if (_loans.TryGetValue(id, out ReserveReply? first))
            return first;
        var asked = (ReserveRequest)Request.Read(1, (ushort)MessageType.Reserve, header.ToArray(), [], ProtocolLimits.Default);
        var places = new List<ulong>();
        foreach (long bytes in asked.Bytes)
        {
            places.Add(FramePlace.Of(0, _used));
            _used += (bytes + Arena.PageBytes - 1) / Arena.PageBytes * Arena.PageBytes;
        }
        return _loans[id] = new ReserveReply(_loans.Count + 1, [.. places]);
    }
}

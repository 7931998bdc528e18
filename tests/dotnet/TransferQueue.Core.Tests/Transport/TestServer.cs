using System.Collections.Concurrent;
using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Transport;

/// <summary>A server in a folder of its own whose handler answers by a message's type: see <see cref="Echo"/> and its neighbours.</summary>
internal sealed unsafe class TestServer : IServerHandler, IDisposable
{
    /// <summary>Replies with the same header and frames.</summary>
    public const ushort Echo = 10;

    /// <summary>Replies with nothing, and throws the payload away.</summary>
    public const ushort Skip = 11;

    /// <summary>Replies with one frame of as many bytes as the header (i64) says.</summary>
    public const ushort Download = 12;

    /// <summary>Replies when <see cref="ReleaseParked"/> is called.</summary>
    public const ushort Park = 13;

    /// <summary>The handler throws.</summary>
    public const ushort Fault = 14;

    /// <summary>The plan says Close.</summary>
    public const ushort Close = 15;

    /// <summary>What <see cref="Custom"/> says.</summary>
    public const ushort Own = 16;

    private readonly string _folder = Directory.CreateTempSubdirectory("tq-server").FullName;
    private readonly Thread _thread;
    private readonly List<(ServerConnection Connection, ulong Id)> _parked = [];
    private readonly NativeBuffer _downloads;
    private readonly int _listenFd;

    public TestServer(ServerLoopOptions? options = null)
    {
        Path = System.IO.Path.Combine(_folder, "s");
        _listenFd = UnixSocket.Listen(Path);
        _downloads = Pool.Rent(1 << 20);
        _downloads.Span.Fill(7);
        Loop = new ServerLoop((options ?? new ServerLoopOptions()) with { ListenFd = _listenFd }, this);
        _thread = new Thread(Loop.Run) { IsBackground = true };
        _thread.Start();
    }

    public string Path { get; }

    public ServerLoop Loop { get; }

    public NativeBufferPool Pool { get; } = new();

    public ConcurrentQueue<string> Disconnects { get; } = new();

    public ConcurrentQueue<TransferQueueException> Rejections { get; } = new();

    public ConcurrentQueue<ServerConnection> Connections { get; } = new();

    /// <summary>A test's own answer to messages of type <see cref="Own"/>, on the loop's thread.</summary>
    public Func<ServerConnection, Prelude, ReceivePlan>? Custom { get; set; }

    /// <summary>Payloads of plans that the test made itself need no answer.</summary>
    public bool IgnoresPayload { get; set; }

    public int PayloadsLost;
    public int PayloadsReceived;
    public int HeadersSeen;
    public int Sent;
    public int Dropped;
    public int Ticks;

    public UnixChannel Connect() => UnixChannel.Connect(Path, TimeSpan.FromSeconds(10), Pool, TransportLimits.Default);

    public int ConnectRaw() => UnixSocket.Connect(Path, TimeSpan.FromSeconds(10));

    /// <summary>Runs something on the loop's thread and waits for it.</summary>
    public void OnLoop(Action action)
    {
        using var done = new ManualResetEventSlim();
        Loop.Post(() =>
        {
            action();
            done.Set();
        });
        Assert.True(done.Wait(TimeSpan.FromSeconds(20)), "the loop did not answer");
    }

    public void ReleaseParked() => OnLoop(() =>
    {
        foreach ((ServerConnection connection, ulong id) in _parked)
            Reply(connection, id, [], []);
        _parked.Clear();
    });

    public int ParkedCount
    {
        get
        {
            int count = 0;
            OnLoop(() => count = _parked.Count);
            return count;
        }
    }

    public void Connected(ServerConnection connection) => Connections.Enqueue(connection);

    public ReceivePlan Header(
        ServerConnection connection, in Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places, ReadOnlySpan<byte> header)
    {
        Interlocked.Increment(ref HeadersSeen);
        switch (prelude.Type)
        {
            case Echo:
                return EchoPlan(prelude.RequestId, header.ToArray(), frameLengths.ToArray(), places.ToArray());
            case Own:
                return Custom!(connection, prelude);
            case Skip:
                Reply(connection, prelude.RequestId, [], []);
                return ReceivePlan.Skip;
            case Download:
                ReplyBytes(connection, prelude.RequestId, BitConverter.ToInt64(header));
                return ReceivePlan.None;
            case Park:
                _parked.Add((connection, prelude.RequestId));
                return ReceivePlan.None;
            case Close:
                return ReceivePlan.Close;
            default:
                throw new InvalidOperationException("asked for");
        }
    }

    public void PayloadReceived(ServerConnection connection, ReceivePlan plan)
    {
        Interlocked.Increment(ref PayloadsReceived);
        if (IgnoresPayload)
            return;
        var request = (EchoRequest)plan.State!;
        Reply(connection, request.Id, request.Header, request.Frames, 100, request);
    }

    /// <summary>A plan that takes a payload and sends it back.</summary>
    public ReceivePlan EchoPlan(ulong id, byte[] header, ulong[] frameLengths, ulong[] places)
    {
        NativeBuffer?[] all = [.. frameLengths.Select((length, i) => places.Length == 0 || places[i] == FramePlace.Inline ? Pool.Rent((long)length) : null)];
        var request = new EchoRequest(id, header, [.. all.OfType<NativeBuffer>()], frameLengths, places);
        var plan = new ReceivePlan { State = request };
        foreach (NativeBuffer frame in request.Frames)
            plan.Add(frame.Segment);
        return plan;
    }

    public void PayloadLost(ServerConnection connection, ReceivePlan plan)
    {
        Interlocked.Increment(ref PayloadsLost);
        foreach (NativeBuffer frame in ((EchoRequest)plan.State!).Frames)
            frame.Dispose();
    }

    public void Disconnected(ServerConnection connection, string reason) => Disconnects.Enqueue(reason);

    public void Rejected(ServerConnection connection, in Prelude prelude, TransferQueueException why)
    {
        Rejections.Enqueue(why);
        Reply(connection, prelude.RequestId, [(byte)why.Kind], [], 101);
    }

    public long Tick(long nowMilliseconds)
    {
        Interlocked.Increment(ref Ticks);
        return long.MaxValue;
    }

    public void Dispose()
    {
        Loop.Stop();
        Assert.True(_thread.Join(TimeSpan.FromSeconds(20)), "the loop did not end");
        Loop.Dispose();
        _downloads.Dispose();
        Libc.close(_listenFd);
        Directory.Delete(_folder, recursive: true);
    }

    private void Reply(ServerConnection connection, ulong id, byte[] header, NativeBuffer[] frames, ushort type = 100, EchoRequest? echo = null)
    {
        OutgoingMessage message = Loop.RentMessage();
        header.CopyTo(message.Header.GetSpan(header.Length));
        message.Header.Advance(header.Length);
        int inline = 0;
        for (int i = 0; i < (echo?.FrameLengths.Length ?? frames.Length); i++)
            if (echo is { Places.Length: > 0 } && echo.Places[i] != FramePlace.Inline)
                message.AddPlacedFrame(echo.Places[i], (long)echo.FrameLengths[i]);
            else
                message.AddFrame(frames[inline++].Segment);
        message.Completed = (_, isSent) =>
        {
            Interlocked.Increment(ref isSent ? ref Sent : ref Dropped);
            foreach (NativeBuffer frame in frames)
                frame.Dispose();
        };
        message.Seal(Prelude.Create(type, id));
        connection.Send(message);
    }

    private void ReplyBytes(ServerConnection connection, ulong id, long bytes)
    {
        OutgoingMessage message = Loop.RentMessage();
        message.BeginFrame();
        for (long left = bytes; left > 0; left -= _downloads.Length)
            message.AddSegment(_downloads.Segment.Take(Math.Min(left, _downloads.Length)));
        message.Completed = (_, isSent) => Interlocked.Increment(ref isSent ? ref Sent : ref Dropped);
        message.Seal(Prelude.Create(100, id));
        connection.Send(message);
    }

    private sealed record EchoRequest(ulong Id, byte[] Header, NativeBuffer[] Frames, ulong[] FrameLengths, ulong[] Places);
}

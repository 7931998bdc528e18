using System.Collections.Concurrent;
using TransferQueue.Memory;
using TransferQueue.Transport;
using Xunit;
using static TransferQueue.Tests.Transport.TestClient;

namespace TransferQueue.Tests.Transport;

/// <summary>A handler that can't say yet where a payload goes lets it wait, and its connection with it.</summary>
public sealed unsafe class WaitingPayloadTests : IDisposable
{
    private readonly TestServer _server = new();
    private readonly ConcurrentQueue<(ServerConnection Connection, Prelude Prelude)> _waiting = new();

    public WaitingPayloadTests() => _server.Custom = (connection, prelude) =>
    {
        _waiting.Enqueue((connection, prelude));
        return ReceivePlan.Wait;
    };

    public void Dispose() => _server.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(20_000)] // was read together with its header
    [InlineData(100_000)] // in part
    [InlineData(9_000_000)]
    public void APayloadThatWaitedArrivesWholeAndInOrder(int bytes)
    {
        using UnixChannel channel = _server.Connect();
        NativeBuffer frame = Filled(_server.Pool, bytes, 3);
        var sender = new Thread(() =>
        {
            Send(channel, Request(TestServer.Echo, 1, default));
            Send(channel, Request(TestServer.Own, 2, "waits"u8, frame));
            Send(channel, Request(TestServer.Own, 3, "waits too"u8, frame));
            Send(channel, Request(TestServer.Echo, 4, default));
        });
        sender.Start();
        Receive(channel).Dispose();
        for (ulong id = 2; id <= 3; id++)
        {
            Until(() => _waiting.Count == 1, "the payload that waits");
            ServeOthers();
            Assert.Equal(2 * (int)id - 1, _server.HeadersSeen); // each of this connection so far, and one of another per round: nothing behind it was read
            Continue((ulong)bytes);
            using IncomingMessage reply = Receive(channel);
            Assert.Equal(id, reply.Prelude.RequestId);
            AssertFilled(reply.Frames[0], bytes, 3);
        }
        using IncomingMessage last = Receive(channel);
        Assert.Equal(4ul, last.Prelude.RequestId);
        sender.Join();
        Assert.Equal(0, _server.Loop.FaultCount);
    }

    [Fact]
    public void ShortRequestsThatCameTogetherCanEachWait()
    {
        using UnixChannel channel = _server.Connect();
        using NativeBuffer frame = Filled(_server.Pool, 100, 3);
        byte[] one = [.. Bytes(Prelude.Create(TestServer.Own, 1) with { FrameCount = 1, PayloadBytes = 3 }), .. BitConverter.GetBytes(3L), 7, 8, 9];
        int fd = _server.ConnectRaw();
        SendRaw(fd, [.. Enumerable.Repeat(one, 20).SelectMany(b => b), .. one.AsSpan(0, 50)]);
        using var reader = new UnixChannel(fd, _server.Pool, TransportLimits.Default);
        for (int i = 0; i <= 20; i++)
        {
            Until(() => _waiting.Count == 1, "the payload that waits");
            Continue(3);
            using IncomingMessage reply = Receive(reader);
            Assert.Equal([7, 8, 9], reply.Frames[0]!.Span.ToArray());
            if (i == 19)
                SendRaw(fd, one.AsSpan(50));
        }
    }

    [Theory]
    [InlineData(100)]
    [InlineData(5_000_000)]
    public void ItCanBeSkipped(int bytes)
    {
        using UnixChannel channel = _server.Connect();
        NativeBuffer frame = Filled(_server.Pool, bytes, 3);
        var sender = new Thread(() =>
        {
            Send(channel, Request(TestServer.Own, 1, default, frame));
            Send(channel, Request(TestServer.Echo, 2, default));
        });
        sender.Start();
        Until(() => _waiting.Count == 1, "the payload that waits");
        ContinueWith(ReceivePlan.Skip);
        using IncomingMessage reply = Receive(channel);
        Assert.Equal(2ul, reply.Prelude.RequestId);
        sender.Join();
    }

    [Fact]
    public void ItsConnectionCanBeClosed()
    {
        using UnixChannel channel = _server.Connect();
        using NativeBuffer frame = Filled(_server.Pool, 5000, 3);
        Send(channel, Request(TestServer.Own, 1, default, frame));
        Until(() => _waiting.Count == 1, "the payload that waits");
        ContinueWith(ReceivePlan.Close);
        using var message = new IncomingMessage();
        Assert.Throws<ConnectionLostException>(() => channel.TryReceive(message, 10_000));
    }

    [Fact]
    public void ItGoesOnWaitingAsLongAsItsSenderLives()
    {
        using var server = new TestServer(new ServerLoopOptions { PayloadStallLimit = TimeSpan.FromMilliseconds(100), FirstMessageLimit = TimeSpan.FromMilliseconds(100) });
        server.Custom = _server.Custom;
        int fd = server.ConnectRaw();
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Own, 1) with { FrameCount = 1, PayloadBytes = 4 }), .. BitConverter.GetBytes(4L)]);
        Until(() => _waiting.Count == 1, "the payload that waits");
        int ticks = server.Ticks;
        Until(() => server.Ticks > ticks + 3, "some looks at the transport's deadlines");
        Assert.Empty(server.Disconnects);
        UnixSocket.Close(fd);
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        Assert.Contains("had to wait", server.Disconnects.Single());
    }

    [Fact]
    public void ASenderThatLeavesIsNoticedAlthoughNothingIsRead()
    {
        int fd = _server.ConnectRaw();
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Own, 1) with { FrameCount = 1, PayloadBytes = 1 << 20 }), .. BitConverter.GetBytes(1L << 20), .. new byte[100_000]]);
        Until(() => _waiting.Count == 1, "the payload that waits");
        UnixSocket.Close(fd);
        Until(() => _server.Disconnects.Count == 1, "the end of the connection");
        Assert.Equal(0, _server.PayloadsLost); // no plan, no room
    }

    [Fact]
    public void APlanThatComesTooLateIsLostOnce()
    {
        int fd = _server.ConnectRaw();
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Own, 1) with { FrameCount = 1, PayloadBytes = 10 }), .. BitConverter.GetBytes(10L)]);
        Until(() => _waiting.Count == 1, "the payload that waits");
        UnixSocket.Close(fd);
        Until(() => _server.Disconnects.Count == 1, "the end of the connection");
        Continue(10);
        Until(() => _server.PayloadsLost == 1, "the report");
        _server.OnLoop(() => { });
        Assert.Equal((1, 0, 0), (_server.PayloadsLost, _server.PayloadsReceived, _server.Pool.OutCount - 1));
    }

    [Fact]
    public void APlanForAConnectionThatIsJustEndingIsLostOnce()
    {
        int fd = _server.ConnectRaw();
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Own, 1) with { FrameCount = 1, PayloadBytes = 10 }), .. BitConverter.GetBytes(10L), .. new byte[10]]);
        Until(() => _waiting.Count == 1, "the payload that waits");
        _server.OnLoop(() =>
        {
            (ServerConnection connection, Prelude prelude) = _waiting.Single();
            _server.Loop.Continue(connection, _server.EchoPlan(1, [], [10], []));
            connection.Abort("for the test");
        });
        Until(() => _server.Disconnects.Count == 1, "the end of the connection");
        Assert.Equal((1, 0), (_server.PayloadsLost, _server.PayloadsReceived));
        UnixSocket.Close(fd);
    }

    [Fact]
    public void OnlyWhatWaitsCanGoOnAndOnlyOnce()
    {
        using UnixChannel channel = _server.Connect();
        Send(channel, Request(TestServer.Own, 1, default));
        Until(() => _waiting.Count == 1, "the payload that waits");
        int refused = 0;
        _server.OnLoop(() =>
        {
            (ServerConnection connection, Prelude _) = _waiting.Single();
            _server.Loop.Continue(connection, ReceivePlan.None);
            try
            {
                _server.Loop.Continue(connection, ReceivePlan.None);
            }
            catch (InvalidOperationException)
            {
                refused++;
            }
        });
        Assert.Equal(1, refused);
    }

    [Fact]
    public void StopEndsConnectionsThatWait()
    {
        var server = new TestServer { Custom = _server.Custom };
        int fd = server.ConnectRaw();
        SendRaw(fd, Bytes(Prelude.Create(TestServer.Own, 1)));
        Until(() => _waiting.Count == 1, "the payload that waits");
        server.Dispose();
        Assert.Single(server.Disconnects);
        UnixSocket.Close(fd);
    }

    private void ServeOthers()
    {
        using UnixChannel channel = _server.Connect();
        Send(channel, Request(TestServer.Echo, 9, default));
        Receive(channel).Dispose();
    }

    private void Continue(ulong bytes) => _server.OnLoop(() =>
    {
        Assert.True(_waiting.TryDequeue(out var one));
        _server.Loop.Continue(one.Connection, _server.EchoPlan(one.Prelude.RequestId, [], [bytes], []));
    });

    private void ContinueWith(ReceivePlan plan) => _server.OnLoop(() =>
    {
        Assert.True(_waiting.TryDequeue(out var one));
        _server.Loop.Continue(one.Connection, plan);
    });
}

using TransferQueue.Memory;
using TransferQueue.Transport;
using Xunit;
using static TransferQueue.Tests.Transport.TestClient;

namespace TransferQueue.Tests.Transport;

public sealed unsafe class ServerLoopFaultTests
{
    [Fact]
    public void AReaderThatIsSlowGetsEveryByte()
    {
        using var server = new TestServer();
        using UnixChannel slow = server.Connect();
        const int Replies = 12;
        for (ulong id = 1; id <= Replies; id++)
            Send(slow, Request(TestServer.Download, id, BitConverter.GetBytes(3_000_000L)));
        using UnixChannel other = server.Connect();
        Send(other, Request(TestServer.Echo, 1, default));
        Receive(other).Dispose(); // served although the slow one's replies wait
        Assert.True(server.Sent < Replies + 1);
        for (ulong id = 1; id <= Replies; id++)
        {
            using IncomingMessage reply = Receive(slow);
            Assert.Equal(id, reply.Prelude.RequestId);
            Assert.Equal(3_000_000, reply.Frames[0]!.Length);
            Assert.Equal(-1, reply.Frames[0]!.Span.IndexOfAnyExcept((byte)7));
        }
        Until(() => server.Sent == Replies + 1, "all completions");
    }

    [Fact]
    public void ShortRepliesThatFoundNoRoomArriveLater()
    {
        using var server = new TestServer();
        using UnixChannel slow = server.Connect();
        const int Replies = 2000;
        for (ulong id = 1; id <= Replies; id++)
            Send(slow, Request(TestServer.Download, id, BitConverter.GetBytes(20_000L)));
        Until(() => server.HeadersSeen == Replies, "all requests");
        Assert.True(server.Sent < Replies, "the socket took everything: the test shows nothing");
        for (ulong id = 1; id <= Replies; id++)
        {
            using IncomingMessage reply = Receive(slow);
            Assert.Equal((id, 20_000L), (reply.Prelude.RequestId, reply.Frames[0]!.Length));
        }
    }

    [Fact]
    public void BothDirectionsOfAConnectionGoOnAfterBothStoodStill()
    {
        using var server = new TestServer();
        int fd = server.ConnectRaw();
        const int Payload = 8 << 20;
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Download, 1) with { HeaderBytes = 8 }), .. BitConverter.GetBytes(40_000_000L)]);
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Echo, 2) with { FrameCount = 1, PayloadBytes = Payload }), .. BitConverter.GetBytes((long)Payload)]);
        SendRaw(fd, new byte[1 << 20]);
        Until(() => server.HeadersSeen == 2, "both headers");
        SendRaw(fd, new byte[Payload - (1 << 20)]); // wakes the one direction, while nobody reads the other
        Until(() => server.PayloadsReceived == 1, "the payload");
        Assert.Equal(0, server.Sent);
        using var channel = new UnixChannel(fd, server.Pool, TransportLimits.Default);
        using (IncomingMessage download = Receive(channel))
            Assert.Equal(40_000_000, download.Frames[0]!.Length);
        using IncomingMessage echo = Receive(channel);
        Assert.Equal(Payload, echo.Frames[0]!.Length);
    }

    [Fact]
    public void AReaderThatStopsIsCutOffAlone()
    {
        using var server = new TestServer(new ServerLoopOptions { MostPendingBytes = 10_000_000 });
        using UnixChannel stopped = server.Connect();
        using UnixChannel other = server.Connect();
        for (ulong id = 1; id <= 40; id++)
            TrySend(stopped, Request(TestServer.Download, id, BitConverter.GetBytes(4_000_000L)));
        Until(() => server.Disconnects.Count == 1, "the end of the stopped reader");
        Assert.Contains("doesn't read its replies", server.Disconnects.Single());
        Until(() => server.Dropped + server.Sent >= 4, "completions of what was queued");
        Assert.True(server.Dropped > 0);
        Send(other, Request(TestServer.Echo, 1, default));
        Receive(other).Dispose();
    }

    [Fact]
    public void OneReplyOverTheBoundStillArrives()
    {
        using var server = new TestServer(new ServerLoopOptions { MostPendingBytes = 1000 });
        using UnixChannel channel = server.Connect();
        for (ulong id = 1; id <= 3; id++)
        {
            Send(channel, Request(TestServer.Download, id, BitConverter.GetBytes(8_000_000L)));
            using IncomingMessage reply = Receive(channel);
            Assert.Equal(8_000_000, reply.Frames[0]!.Length);
        }
    }

    [Fact]
    public void TooManyWaitingMessagesCutTheConnectionOff()
    {
        using var server = new TestServer(new ServerLoopOptions { MostPendingMessages = 5 });
        using UnixChannel channel = server.Connect();
        Send(channel, Request(TestServer.Download, 1, BitConverter.GetBytes(20_000_000L))); // a mover is busy with it: nothing behind it leaves
        for (ulong id = 2; id <= 12 && server.Disconnects.IsEmpty; id++)
            TrySend(channel, Request(TestServer.Echo, id, default));
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        Assert.Contains("messages are waiting", server.Disconnects.Single());
    }

    private static void TrySend(UnixChannel channel, OutgoingMessage message)
    {
        try
        {
            Send(channel, message);
        }
        catch (ConnectionLostException)
        {
            // cut off already: what the test waits for
        }
    }

    [Fact]
    public void ASilentConnectionIsClosedAndOneThatSpokeIsNot()
    {
        using var server = new TestServer(new ServerLoopOptions { FirstMessageLimit = TimeSpan.FromMilliseconds(300) });
        using UnixChannel speaker = server.Connect();
        Send(speaker, Request(TestServer.Echo, 1, default));
        Receive(speaker).Dispose();
        int silent = server.ConnectRaw();
        SendRaw(silent, new byte[10]); // not a whole prelude
        Until(() => server.Disconnects.Count == 1, "the end of the silent connection");
        Assert.Contains("no whole message", server.Disconnects.Single());
        Send(speaker, Request(TestServer.Echo, 2, default));
        Receive(speaker).Dispose();
        UnixSocket.Close(silent);
    }

    [Fact]
    public void APayloadThatStandsStillEndsItsConnection()
    {
        using var server = new TestServer(new ServerLoopOptions { PayloadStallLimit = TimeSpan.FromMilliseconds(300) });
        int fd = server.ConnectRaw();
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Echo, 8) with { FrameCount = 1, PayloadBytes = 1 << 20 }), .. BitConverter.GetBytes(1L << 20), 1]);
        Until(() => server.Disconnects.Count == 1, "the end of the stalled connection");
        Assert.Contains("stood still", server.Disconnects.Single());
        Assert.Equal(1, server.PayloadsLost);
        UnixSocket.Close(fd);
    }

    [Fact]
    public void ConnectionsOverTheLimitAreRefused()
    {
        using var server = new TestServer(new ServerLoopOptions { MostConnections = 2 });
        using UnixChannel first = server.Connect();
        using UnixChannel second = server.Connect();
        using UnixChannel third = server.Connect();
        using var message = new IncomingMessage();
        Assert.Throws<ConnectionLostException>(() => third.TryReceive(message, 10_000));
        Assert.Equal(1, server.Loop.RefusedCount);
        first.Dispose();
        Until(() => server.Loop.ConnectionCount == 1, "the end of the first");
        using UnixChannel fourth = server.Connect();
        Send(fourth, Request(TestServer.Echo, 1, default));
        Receive(fourth).Dispose();
    }

    [Fact]
    public void AnotherUserIsRefused()
    {
        using var server = new TestServer(new ServerLoopOptions { AllowedUid = 54321 });
        using UnixChannel channel = server.Connect();
        using var message = new IncomingMessage();
        Assert.Throws<ConnectionLostException>(() => channel.TryReceive(message, 10_000));
        Assert.Empty(server.Connections);
    }

    [Fact]
    public void AFaultOfTheHandlerEndsItsConnectionOnly()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        Send(channel, Request(TestServer.Fault, 1, default));
        using var message = new IncomingMessage();
        Assert.Throws<ConnectionLostException>(() => channel.TryReceive(message, 10_000));
        Assert.Equal(1, server.Loop.FaultCount);
        using UnixChannel other = server.Connect();
        Send(other, Request(TestServer.Echo, 1, default));
        Receive(other).Dispose();
    }

    [Fact]
    public void ThePlanCloseEndsTheConnectionAfterTheRepliesBeforeIt()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        Send(channel, Request(TestServer.Download, 1, BitConverter.GetBytes(2_000_000L)));
        Send(channel, Request(TestServer.Close, 2, default));
        Assert.Equal(2_000_000, Receive(channel).Frames[0]!.Length);
        using var message = new IncomingMessage();
        Assert.Throws<ConnectionLostException>(() => channel.TryReceive(message, 10_000));
    }

    [Fact]
    public void AParkedReplyToAClientThatLeftIsDropped()
    {
        using var server = new TestServer();
        UnixChannel channel = server.Connect();
        Send(channel, Request(TestServer.Park, 1, default));
        Until(() => server.ParkedCount == 1, "the parked request");
        channel.Dispose();
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        server.ReleaseParked();
        Until(() => server.Dropped == 1, "the completion");
        Assert.Equal(0, server.Loop.FaultCount);
    }

    [Fact]
    public void StopDropsWhatCannotBeSentAndTellsEveryConnection()
    {
        var server = new TestServer();
        using UnixChannel channel = server.Connect();
        using UnixChannel idle = server.Connect();
        Send(channel, Request(TestServer.Download, 1, BitConverter.GetBytes(50_000_000L)));
        Until(() => server.HeadersSeen == 1 && server.Connections.Count == 2, "the request");
        server.Dispose();
        Assert.Equal(2, server.Disconnects.Count);
        Assert.Equal(1, server.Dropped);
        Assert.Equal(0, server.Sent);
    }

    [Fact]
    public void WorkRunsElsewhereAndEndsOnTheLoop()
    {
        using var server = new TestServer();
        int loopThread = 0, workThread = 0, endThread = 0;
        Exception? fault = null;
        server.OnLoop(() => loopThread = Environment.CurrentManagedThreadId);
        server.Loop.RunOnWorker(() => workThread = Environment.CurrentManagedThreadId, _ => Volatile.Write(ref endThread, Environment.CurrentManagedThreadId));
        server.Loop.RunOnWorker(() => throw new InvalidOperationException("x"), e => Volatile.Write(ref fault, e));
        Until(() => Volatile.Read(ref endThread) != 0 && Volatile.Read(ref fault) is not null, "both ends");
        Assert.Equal(loopThread, endThread);
        Assert.NotEqual(loopThread, workThread);
        Assert.IsType<InvalidOperationException>(fault);
    }

    [Fact]
    public void AnAdoptedSocketBringsRepliesToTheHandler()
    {
        using var server = new TestServer();
        (int mine, int loops) = UnixSocket.CreatePair();
        server.OnLoop(() => server.Loop.Adopt(loops));
        using var channel = new UnixChannel(mine, server.Pool, TransportLimits.Default);
        Send(channel, Request(TestServer.Echo, 4, "x"u8));
        using IncomingMessage reply = Receive(channel);
        Assert.Equal(4ul, reply.Prelude.RequestId);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(100_000)]
    [InlineData(600_000)] // a mover's
    public void TheLoopAllocatesNothingPerRequestInASteadyState(int payload)
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        using NativeBuffer room = server.Pool.Rent(payload);
        var plan = new ReceivePlan();
        server.Custom = (connection, prelude) =>
        {
            OutgoingMessage answer = server.Loop.RentMessage();
            answer.AddFrame(room.Segment);
            answer.Seal(Prelude.Create(100, prelude.RequestId));
            connection.Send(answer);
            plan.Clear();
            plan.Add(room.Segment);
            return payload == 0 ? ReceivePlan.None : plan;
        };
        server.IgnoresPayload = true;
        OutgoingMessage request = Request(TestServer.Own, 1, "header"u8, room);
        using var reply = new IncomingMessage();
        void Call(int count)
        {
            for (int i = 0; i < count; i++)
            {
                request.Seal(Prelude.Create(TestServer.Own, 1));
                Send(channel, request);
                while (!channel.TryReceive(reply, 100)) { }
                reply.Clear();
            }
        }
        Call(200);
        long before = 0, after = 0;
        server.OnLoop(() => before = GC.GetAllocatedBytesForCurrentThread());
        Call(1000);
        server.OnLoop(() => after = GC.GetAllocatedBytesForCurrentThread());
        Assert.InRange(after - before, 0, 1000 * 20); // the smallest object has 24 bytes; a list may grow, a lock may be fought for
        Assert.Equal(0, server.Loop.FaultCount);
    }

    [Fact]
    public void ClosedConnectionsLeaveNoFileBehind()
    {
        using var server = new TestServer();
        for (int i = 0; i < 20; i++)
            server.Connect().Dispose();
        Until(() => server.Disconnects.Count == 20, "all ends");
        int before = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 100; i++)
        {
            UnixChannel channel = server.Connect();
            Send(channel, Request(TestServer.Download, 1, BitConverter.GetBytes(400_000L)));
            channel.Dispose();
        }
        Until(() => server.Disconnects.Count == 120, "all ends");
        Assert.InRange(Directory.GetFiles("/proc/self/fd").Length, 0, before + 40); // other tests run at the same time
    }
}

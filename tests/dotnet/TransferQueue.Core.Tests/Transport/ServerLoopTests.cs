using TransferQueue.Memory;
using TransferQueue.Transport;
using Xunit;
using static TransferQueue.Tests.Transport.TestClient;

namespace TransferQueue.Tests.Transport;

public sealed unsafe class ServerLoopTests
{
    [Theory]
    [InlineData()]
    [InlineData(0L)]
    [InlineData(1L)]
    [InlineData(100L, 0L, 5000L)]
    [InlineData(16_384L)]
    [InlineData(65_537L, 3L)]
    [InlineData(100_000L, 0L, 100_000L, 5L)]
    [InlineData(262_144L)]
    [InlineData(262_145L)]
    [InlineData(5_000_000L, 1L, 0L, 4_194_305L)]
    public void FramesComeBackAsTheyWereSent(params long[] lengths)
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        NativeBuffer[] frames = [.. lengths.Select((length, i) => Filled(server.Pool, length, i))];
        for (ulong id = 1; id <= 3; id++)
        {
            Send(channel, Request(TestServer.Echo, id, "a header"u8, frames));
            using IncomingMessage reply = Receive(channel);
            Assert.Equal((id, (ushort)100), (reply.Prelude.RequestId, reply.Prelude.Type));
            Assert.True(reply.HeaderBytes.SequenceEqual("a header"u8));
            Assert.Equal(lengths.Length, reply.Frames.Count);
            for (int i = 0; i < lengths.Length; i++)
                AssertFilled(reply.Frames[i], lengths[i], i);
        }
    }

    [Fact]
    public void ManyRequestsInFlightAreAnsweredOnceEachInOrder()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        using NativeBuffer frame = Filled(server.Pool, 700, 3);
        const int Requests = 2000;
        for (ulong id = 1; id <= Requests; id++)
            Send(channel, Request(TestServer.Echo, id, BitConverter.GetBytes(id), frame));
        for (ulong id = 1; id <= Requests; id++)
        {
            using IncomingMessage reply = Receive(channel);
            Assert.Equal(id, reply.Prelude.RequestId);
            Assert.Equal(id, BitConverter.ToUInt64(reply.HeaderBytes));
            AssertFilled(reply.Frames[0], 700, 3);
        }
        Until(() => server.Sent == Requests, "all completions");
    }

    [Fact]
    public void AHeaderOfManyMegabytesArrivesWhole()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        byte[] header = new byte[9_000_001];
        new Random(1).NextBytes(header);
        var sender = new Thread(() => Send(channel, Request(TestServer.Echo, 1, header)));
        sender.Start();
        using IncomingMessage reply = Receive(channel);
        Assert.True(reply.HeaderBytes.SequenceEqual(header));
        sender.Join();
    }

    [Fact]
    public void AHeaderOverTheLimitIsRefusedByItsLengthAlone()
    {
        using var server = new TestServer();
        AssertRejected<LimitExceededException>(server, Bytes(Prelude.Create(2, 5) with { HeaderBytes = (64 << 20) + 1 }), 5);
    }

    [Fact]
    public void MoreFramesThanTheLimitAreRefusedByTheirCountAlone()
    {
        using var server = new TestServer();
        AssertRejected<LimitExceededException>(server, Bytes(Prelude.Create(2, 5) with { FrameCount = 4097, PayloadBytes = 4097 }), 5);
    }

    [Fact]
    public void APayloadOverTheLimitIsRefusedByItsLengthAlone()
    {
        using var server = new TestServer(new ServerLoopOptions { Limits = new TransportLimits { PayloadBytes = 1000 } });
        AssertRejected<LimitExceededException>(server, Bytes(Prelude.Create(2, 5) with { FrameCount = 1, PayloadBytes = 1001 }), 5);
    }

    [Fact]
    public void LettersOfAnotherProtocolAreRefused()
    {
        using var server = new TestServer();
        AssertRejected<ProtocolException>(server, "GET / HTTP/1.1\r\nHost: example.org\r\nAccept: text/html\r\n\r\n"u8, null);
    }

    [Fact]
    public void AnotherVersionIsRefused()
    {
        using var server = new TestServer();
        AssertRejected<ProtocolVersionException>(server, Bytes(Prelude.Create(2, 5) with { Version = 2 }), 5);
    }

    [Fact]
    public void FrameLengthsThatContradictThePayloadAreRefused()
    {
        using var server = new TestServer();
        byte[] bytes = [.. Bytes(Prelude.Create(2, 5) with { FrameCount = 1, PayloadBytes = 10 }), .. BitConverter.GetBytes(11L)];
        AssertRejected<ProtocolException>(server, bytes, 5);
    }

    /// <summary>The client gets an error reply, then the end of the connection; others are served on.</summary>
    private static void AssertRejected<T>(TestServer server, ReadOnlySpan<byte> bytes, ulong? id)
        where T : TransferQueueException
    {
        int fd = server.ConnectRaw();
        SendRaw(fd, bytes);
        using (var channel = new UnixChannel(fd, server.Pool, TransportLimits.Default))
        {
            using IncomingMessage reply = Receive(channel);
            Assert.Equal(101, reply.Prelude.Type);
            Assert.True(id is null || id == reply.Prelude.RequestId);
            using var more = new IncomingMessage();
            Assert.Throws<ConnectionLostException>(() => channel.TryReceive(more, 10_000));
        }
        Assert.IsType<T>(Assert.Single(server.Rejections));
        Assert.Equal(0, server.HeadersSeen);
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        Assert.Equal(server.Rejections.Single().Message, server.Disconnects.Single());
        AssertServes(server);
    }

    private static void AssertServes(TestServer server)
    {
        using UnixChannel channel = server.Connect();
        Send(channel, Request(TestServer.Echo, 77, "still there?"u8));
        using IncomingMessage reply = Receive(channel);
        Assert.Equal(77ul, reply.Prelude.RequestId);
    }

    [Fact]
    public void AClientThatSendsOneByteAtATimeIsUnderstood()
    {
        using var server = new TestServer();
        int fd = server.ConnectRaw();
        byte[] message =
        [
            .. Bytes(Prelude.Create(TestServer.Echo, 8) with { HeaderBytes = 3, FrameCount = 2, PayloadBytes = 5 }),
            .. BitConverter.GetBytes(1L), .. BitConverter.GetBytes(4L), 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        foreach (byte b in message)
        {
            SendRaw(fd, [b]);
            Thread.Yield();
        }
        using var channel = new UnixChannel(fd, server.Pool, TransportLimits.Default);
        using IncomingMessage reply = Receive(channel);
        Assert.Equal([1, 2, 3], reply.HeaderBytes.ToArray());
        Assert.Equal([4], reply.Frames[0]!.Span.ToArray());
        Assert.Equal([5, 6, 7, 8], reply.Frames[1]!.Span.ToArray());
    }

    [Theory]
    [InlineData(20)] // in the prelude
    [InlineData(52)] // in the lengths
    [InlineData(70)] // in the header
    public void AConnectionCutInItsHeadLeavesNothing(int bytes)
    {
        using var server = new TestServer();
        int fd = server.ConnectRaw();
        byte[] message = [.. Bytes(Prelude.Create(TestServer.Echo, 8) with { HeaderBytes = 30, FrameCount = 1, PayloadBytes = 5 }), .. BitConverter.GetBytes(5L), .. new byte[35]];
        SendRaw(fd, message.AsSpan(0, bytes));
        UnixSocket.Close(fd);
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        Assert.Equal(0, server.HeadersSeen);
        Assert.Equal(0, server.PayloadsLost);
        AssertServes(server);
    }

    [Theory]
    [InlineData(20_000, 10_000)] // on the loop
    [InlineData(20_000_000, 10)] // on a mover that waits from the start
    [InlineData(20_000_000, 5_000_000)] // on a mover in the middle
    public void AConnectionCutInItsPayloadGivesTheRoomBack(int payload, int sent)
    {
        using var server = new TestServer();
        int fd = server.ConnectRaw();
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Echo, 8) with { FrameCount = 1, PayloadBytes = (ulong)payload }), .. BitConverter.GetBytes((long)payload)]);
        SendRaw(fd, new byte[sent]);
        Until(() => server.HeadersSeen == 1, "the header");
        server.OnLoop(() => { }); // the handler has made its plan
        int before = server.Pool.OutCount;
        UnixSocket.Close(fd);
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        Assert.Equal(1, server.PayloadsLost);
        Assert.Equal(0, server.PayloadsReceived);
        Assert.Equal(before - 1, server.Pool.OutCount);
        AssertServes(server);
    }

    [Fact]
    public void OthersAreAnsweredWhileAPayloadIsStalled()
    {
        using var server = new TestServer(new ServerLoopOptions { MoverThreads = 1 });
        const int Payload = 64 << 20;
        int fd = server.ConnectRaw();
        SendRaw(fd, [.. Bytes(Prelude.Create(TestServer.Echo, 8) with { FrameCount = 1, PayloadBytes = Payload }), .. BitConverter.GetBytes((long)Payload)]);
        SendRaw(fd, new byte[1 << 20]);
        using UnixChannel other = server.Connect();
        using NativeBuffer large = Filled(server.Pool, 1 << 20, 5);
        for (ulong id = 1; id <= 200; id++)
        {
            Send(other, Request(TestServer.Echo, id, default, id % 20 == 0 ? [large] : [])); // the only mover serves others too
            using IncomingMessage reply = Receive(other);
            Assert.Equal(id, reply.Prelude.RequestId);
        }
        Assert.Equal(200, server.PayloadsReceived);
        SendRaw(fd, new byte[Payload - (1 << 20)]);
        using var channel = new UnixChannel(fd, server.Pool, TransportLimits.Default);
        using IncomingMessage late = Receive(channel);
        Assert.Equal(Payload, late.Frames[0]!.Length);
        Assert.Equal(201, server.PayloadsReceived);
    }

    [Fact]
    public void OthersAreAnsweredWhileALargePayloadMoves()
    {
        using var server = new TestServer();
        using UnixChannel bulk = server.Connect();
        using NativeBuffer large = Filled(server.Pool, 64 << 20, 1);
        int answered = 0;
        bool isDone = false;
        var other = new Thread(() =>
        {
            using UnixChannel channel = server.Connect();
            for (ulong id = 1; !Volatile.Read(ref isDone); id++)
            {
                Send(channel, Request(TestServer.Echo, id, default));
                using IncomingMessage reply = Receive(channel);
                Interlocked.Increment(ref answered);
            }
        });
        other.Start();
        Until(() => Volatile.Read(ref answered) > 0, "the first answer");
        int before = answered;
        Send(bulk, Request(TestServer.Echo, 1, default, large));
        using (IncomingMessage reply = Receive(bulk))
            AssertFilled(reply.Frames[0], 64 << 20, 1);
        int during = Volatile.Read(ref answered) - before;
        Volatile.Write(ref isDone, true);
        other.Join();
        Assert.True(during > 0, "nobody was answered meanwhile");
    }

    [Fact]
    public void RequestsOnOneConnectionStayInOrderAroundALargePayload()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        using NativeBuffer large = Filled(server.Pool, 3 << 20, 1);
        var sender = new Thread(() =>
        {
            for (ulong id = 1; id <= 30; id++)
                Send(channel, Request(id % 3 == 0 ? TestServer.Skip : TestServer.Echo, id, default, id % 2 == 0 ? [large] : []));
        });
        sender.Start();
        for (ulong id = 1; id <= 30; id++)
        {
            using IncomingMessage reply = Receive(channel);
            Assert.Equal(id, reply.Prelude.RequestId);
        }
        sender.Join();
    }

    [Fact]
    public void TwoHundredConnectionsAreServed()
    {
        using var server = new TestServer();
        UnixChannel[] channels = [.. Enumerable.Range(0, 200).Select(_ => server.Connect())];
        using NativeBuffer frame = Filled(server.Pool, 50_000, 9);
        for (int round = 1; round <= 3; round++)
        {
            foreach (UnixChannel channel in channels)
                Send(channel, Request(TestServer.Echo, (ulong)round, default, frame));
            foreach (UnixChannel channel in channels)
                using (IncomingMessage reply = Receive(channel))
                    AssertFilled(reply.Frames[0], 50_000, 9);
        }
        Assert.Equal(200, server.Loop.ConnectionCount);
        foreach (UnixChannel channel in channels)
            channel.Dispose();
        Until(() => server.Loop.ConnectionCount == 0, "the end of all connections");
        Assert.Equal(600, server.Sent);
    }

    [Fact]
    public void AShortRequestCostsOneReadAndOneWrite()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        using NativeBuffer frame = Filled(server.Pool, 20_000, 1);
        for (ulong id = 1; id <= 100; id++)
        {
            Send(channel, Request(TestServer.Echo, id, "header"u8, frame));
            Receive(channel).Dispose();
        }
        Assert.Equal(100, server.Loop.WriteCalls);
        Assert.InRange(server.Loop.ReadCalls, 100, 120); // a request may be seen before all of it is there
    }

    [Fact]
    public void RepliesToRequestsThatCameTogetherLeaveTogether()
    {
        using var server = new TestServer();
        int fd = server.ConnectRaw();
        byte[] one = Bytes(Prelude.Create(TestServer.Echo, 1));
        SendRaw(fd, [.. Enumerable.Repeat(one, 50).SelectMany(b => b)]);
        using var channel = new UnixChannel(fd, server.Pool, TransportLimits.Default);
        for (int i = 0; i < 50; i++)
            Receive(channel).Dispose();
        Assert.InRange(server.Loop.WriteCalls, 1, 4);
    }

    [Fact]
    public void DamagedMessagesNeverStopTheServerNorLeaveAnything()
    {
        using var server = new TestServer(new ServerLoopOptions { Limits = new TransportLimits { PayloadBytes = 1 << 20, HeaderBytes = 1 << 20 } });
        var random = new Random(11);
        byte[] valid = [.. Bytes(Prelude.Create(TestServer.Echo, 8) with { HeaderBytes = 3, FrameCount = 2, PayloadBytes = 5 }), .. BitConverter.GetBytes(1L), .. BitConverter.GetBytes(4L), 1, 2, 3, 4, 5, 6, 7, 8];
        for (int i = 0; i < 1000; i++)
        {
            byte[] message = [.. valid, .. valid];
            for (int damage = random.Next(1, 4); damage > 0; damage--)
                message[random.Next(message.Length)] = (byte)random.Next(256);
            message[6] = message[78] = (byte)(TestServer.Echo + random.Next(2)); // types that the test's handler knows
            message[7] = message[79] = 0;
            int fd = server.ConnectRaw();
            SendRaw(fd, message.AsSpan(0, random.Next(message.Length + 1)));
            UnixSocket.Close(fd);
        }
        Until(() => server.Disconnects.Count == 1000, "the end of all connections");
        Assert.Equal(0, server.Loop.FaultCount);
        AssertServes(server);
        Until(() => server.Pool.OutCount == 1, "all buffers but the test's own");
    }

    [Fact]
    public void TheProcessOnTheOtherSideIsKnown()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        Until(() => server.Connections.Count == 1, "the connection");
        Assert.Equal(Environment.ProcessId, server.Connections.Single().PeerProcessId);
    }
}

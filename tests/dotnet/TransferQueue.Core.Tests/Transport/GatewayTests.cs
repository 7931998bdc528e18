using NetMQ;
using NetMQ.Sockets;
using TransferQueue.Memory;
using TransferQueue.Transport;
using Xunit;
using static TransferQueue.Tests.Transport.TestClient;

namespace TransferQueue.Tests.Transport;

public sealed class GatewayTests
{
    [Theory]
    [InlineData()]
    [InlineData(0L)]
    [InlineData(1L, 0L, 5000L)]
    [InlineData(5_000_000L, 1L, 0L, 4_194_305L)]
    public void FramesComeBackAsTheyWereSent(params long[] lengths)
    {
        using var pool = new NativeBufferPool();
        using var gateway = new EchoGateway();
        using DealerChannel channel = gateway.Connect(pool);
        NativeBuffer[] frames = [.. lengths.Select((length, i) => Filled(pool, length, i))];
        for (ulong id = 1; id <= 3; id++)
        {
            Send(channel, Request(7, id, "a header"u8, frames));
            using IncomingMessage reply = Receive(channel);
            Assert.Equal((id, (ushort)7), (reply.Prelude.RequestId, reply.Prelude.Type));
            Assert.True(reply.HeaderBytes.SequenceEqual("a header"u8));
            Assert.Equal(lengths.Length, reply.Frames.Count);
            for (int i = 0; i < lengths.Length; i++)
                AssertFilled(reply.Frames[i], lengths[i], i);
        }
    }

    [Fact]
    public void AMessageIsOneFrameForTheHeadAndOnePerColumn()
    {
        using var gateway = new EchoGateway();
        using var stranger = Dealer(gateway);
        byte[] head = [.. Bytes(Prelude.Create(7, 5) with { HeaderBytes = 2, FrameCount = 2, PayloadBytes = 7 }), .. BitConverter.GetBytes(4L), .. BitConverter.GetBytes(3L), 8, 9];
        stranger.SendMoreFrame(head).SendMoreFrame(new byte[4]).SendFrame(new byte[3]);
        NetMQMessage reply = ReceiveAll(stranger);
        Assert.Equal([head.Length, 4, 3], reply.Select(f => f.MessageSize));
        Assert.Equal(head, reply[0].ToByteArray());
    }

    [Fact]
    public void ManyRequestsInFlightAreAnsweredOnceEach()
    {
        using var pool = new NativeBufferPool();
        using var gateway = new EchoGateway();
        using DealerChannel channel = gateway.Connect(pool);
        using NativeBuffer frame = Filled(pool, 3000, 1);
        var sender = new Thread(() =>
        {
            for (ulong id = 1; id <= 3000; id++)
                Send(channel, Request(7, id, default, frame));
        });
        sender.Start();
        for (ulong id = 1; id <= 3000; id++)
        {
            using IncomingMessage reply = Receive(channel);
            Assert.Equal(id, reply.Prelude.RequestId);
        }
        sender.Join();
    }

    [Fact]
    public void NobodyListeningIsNotRunning()
    {
        using var pool = new NativeBufferPool();
        Assert.Throws<NotRunningException>(() => DealerChannel.Connect("tcp://127.0.0.1:1", TimeSpan.FromSeconds(10), pool, TransportLimits.Default));
    }

    [Fact]
    public void AGatewayThatEndsIsALostConnection()
    {
        using var pool = new NativeBufferPool();
        var gateway = new EchoGateway();
        using DealerChannel channel = gateway.Connect(pool);
        Send(channel, Request(7, 1, default));
        Receive(channel).Dispose();
        gateway.Dispose();
        using var message = new IncomingMessage();
        Assert.Throws<ConnectionLostException>(() => channel.TryReceive(message, 10_000));
        Assert.Throws<ConnectionLostException>(() => channel.TrySend(Request(7, 2, default), 100));
    }

    [Fact]
    public void APeerThatLeavesIsReportedOnceAndItsRepliesAreDropped()
    {
        using var pool = new NativeBufferPool();
        using var gateway = new EchoGateway();
        DealerChannel channel = gateway.Connect(pool);
        Send(channel, Request(EchoGateway.Hold, 1, default));
        Until(() => gateway.HeldCount == 1, "the request");
        channel.Dispose();
        Until(() => gateway.Disconnects.Count == 1, "the farewell");
        gateway.ReleaseHeld();
        using DealerChannel other = gateway.Connect(pool);
        Send(other, Request(7, 1, default));
        Receive(other).Dispose();
        Assert.Single(gateway.Disconnects);
        Assert.Equal(1, gateway.Endpoint.PeerCount);
        Assert.Equal(0, gateway.Endpoint.FaultCount);
    }

    [Theory]
    [InlineData(new[] { 10 })] // shorter than a prelude
    [InlineData(new[] { 48 })] // zeros
    [InlineData(new[] { 48, 5, 5 })]
    public void WhatIsNoMessageIsRefusedAndItsSenderIgnored(int[] frames)
    {
        using var gateway = new EchoGateway();
        using var stranger = Dealer(gateway);
        stranger.SendMultipartMessage(new NetMQMessage(frames.Select(bytes => new byte[bytes])));
        Assert.Equal(101, Prelude.Read(ReceiveAll(stranger)[0].ToByteArray()).Type);
        Assert.IsType<ProtocolException>(Assert.Single(gateway.Rejections));
        stranger.SendFrame(Bytes(Prelude.Create(7, 1)));
        AssertServes(gateway);
        Assert.Equal(1, gateway.Received); // the other one's
    }

    [Fact]
    public void FramesThatContradictTheirHeadAreRefused()
    {
        using var gateway = new EchoGateway();
        using var stranger = Dealer(gateway);
        byte[] head = [.. Bytes(Prelude.Create(7, 5) with { FrameCount = 1, PayloadBytes = 4 }), .. BitConverter.GetBytes(4L)];
        stranger.SendMoreFrame(head).SendFrame(new byte[3]);
        Prelude reply = Prelude.Read(ReceiveAll(stranger)[0].ToByteArray());
        Assert.Equal((101, 5ul), (reply.Type, reply.RequestId));
        AssertServes(gateway);
    }

    [Fact]
    public void MoreFramesThanTheLimitAreThrownAwayAsTheyCome()
    {
        using var gateway = new EchoGateway(new RouterEndpointOptions { Address = "tcp://127.0.0.1:0", Limits = new TransportLimits { Frames = 10 } });
        using var stranger = Dealer(gateway);
        stranger.SendMultipartMessage(new NetMQMessage(Enumerable.Range(0, 500).Select(_ => Bytes(Prelude.Create(7, 1)))));
        ReceiveAll(stranger);
        Assert.IsType<LimitExceededException>(Assert.Single(gateway.Rejections));
        AssertServes(gateway);
    }

    [Fact]
    public void NothingIsReceivedWhileTooMuchIsHeld()
    {
        using var pool = new NativeBufferPool();
        using var gateway = new EchoGateway(new RouterEndpointOptions { Address = "tcp://127.0.0.1:0", MostHeldBytes = 2_500_000 });
        using DealerChannel channel = gateway.Connect(pool);
        using NativeBuffer frame = Filled(pool, 1_000_000, 1);
        for (ulong id = 1; id <= 10; id++)
            Send(channel, Request(EchoGateway.Hold, id, default, frame));
        Until(() => gateway.HeldCount == 3, "the bound");
        using DealerChannel other = gateway.Connect(pool);
        Send(other, Request(7, 1, default));
        using var message = new IncomingMessage();
        Assert.False(other.TryReceive(message, 50));
        Assert.Equal(3, gateway.HeldCount);
        int got = 0;
        while (got < 10)
        {
            gateway.ReleaseHeld();
            using var reply = new IncomingMessage();
            if (channel.TryReceive(reply, 10))
                got++;
        }
        Receive(other).Dispose();
    }

    [Fact]
    public void AFaultOfTheHandlerEndsItsPeerOnly()
    {
        using var pool = new NativeBufferPool();
        using var gateway = new EchoGateway();
        using DealerChannel channel = gateway.Connect(pool);
        Send(channel, Request(EchoGateway.Fault, 1, default));
        Until(() => gateway.Disconnects.Count == 1, "the end of the peer");
        Assert.Equal(1, gateway.Endpoint.FaultCount);
        AssertServes(gateway);
    }

    [Fact]
    public void APeerThatDoesNotReadIsGivenUpAlone()
    {
        using var pool = new NativeBufferPool();
        using var gateway = new EchoGateway(new RouterEndpointOptions { Address = "tcp://127.0.0.1:0", MostPendingBytes = 3_000_000 });
        using var stranger = Dealer(gateway, receiveHighWatermark: 1);
        byte[] head = [.. Bytes(Prelude.Create(7, 5) with { FrameCount = 1, PayloadBytes = 1_000_000 }), .. BitConverter.GetBytes(1_000_000L)];
        byte[] frame = new byte[1_000_000];
        for (int i = 0; i < 300 && gateway.Disconnects.IsEmpty; i++)
            if (stranger.TrySendFrame(TimeSpan.FromMilliseconds(50), head, more: true))
                stranger.SendFrame(frame);
        Until(() => gateway.Disconnects.Count == 1, "the end of the peer");
        Assert.Contains("doesn't read its replies", gateway.Disconnects.Single());
        AssertServes(gateway);
    }

    [Fact]
    public void AnAddressInUseIsAnErrorThatNamesIt()
    {
        using var gateway = new EchoGateway();
        var error = Assert.Throws<TransferQueueException>(() => new RouterEndpoint(new RouterEndpointOptions { Address = gateway.Address }, gateway));
        Assert.Contains(gateway.Address, error.Message);
    }

    [Fact]
    public void TwentyClientsAtOnce()
    {
        using var pool = new NativeBufferPool();
        using var gateway = new EchoGateway();
        DealerChannel[] channels = [.. Enumerable.Range(0, 20).Select(_ => gateway.Connect(pool))];
        using NativeBuffer frame = Filled(pool, 50_000, 9);
        foreach (DealerChannel channel in channels)
            Send(channel, Request(7, 1, default, frame));
        foreach (DealerChannel channel in channels)
            using (IncomingMessage reply = Receive(channel))
                AssertFilled(reply.Frames[0], 50_000, 9);
        Assert.Equal(20, gateway.Endpoint.PeerCount);
        foreach (DealerChannel channel in channels)
            channel.Dispose();
        Until(() => gateway.Endpoint.PeerCount == 0, "all farewells");
    }

    private static DealerSocket Dealer(EchoGateway gateway, int receiveHighWatermark = 100)
    {
        var socket = new DealerSocket();
        socket.Options.ReceiveHighWatermark = receiveHighWatermark; // holds for later connections only
        socket.Options.Linger = TimeSpan.Zero;
        socket.Connect(gateway.Address);
        return socket;
    }

    private static NetMQMessage ReceiveAll(DealerSocket socket)
    {
        NetMQMessage? message = null;
        Assert.True(socket.TryReceiveMultipartMessage(TimeSpan.FromSeconds(20), ref message), "nothing received within 20 s");
        return message!;
    }

    private static void AssertServes(EchoGateway gateway)
    {
        using var pool = new NativeBufferPool();
        using DealerChannel channel = gateway.Connect(pool);
        Send(channel, Request(7, 77, "still there?"u8));
        using IncomingMessage reply = Receive(channel);
        Assert.Equal(77ul, reply.Prelude.RequestId);
    }
}

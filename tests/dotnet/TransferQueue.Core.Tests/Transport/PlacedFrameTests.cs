using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;
using NetMQ;
using NetMQ.Sockets;
using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Transport;
using Xunit;
using static TransferQueue.Tests.Transport.TestClient;

namespace TransferQueue.Tests.Transport;

/// <summary>Frames that lie in shared memory are counted in a message, and no byte of them is in it.</summary>
public sealed unsafe class PlacedFrameTests
{
    private const ulong Place = 3UL << 48 | 4096;

    [Fact]
    public void PlacesFollowTheLengthsAndPlacedFramesAreNoPayload()
    {
        using var pool = new NativeBufferPool();
        using NativeBuffer frame = Filled(pool, 5, 1);
        var message = new OutgoingMessage { Shared = true };
        message.Header.GetSpan(2).Fill(0xC0);
        message.Header.Advance(2);
        message.AddFrame(frame.Segment);
        message.AddPlacedFrame(Place, 70_000);
        message.Seal(Prelude.Create(10, 7) with { Acknowledged = 99 });
        Assert.Equal((2u, 5ul, PreludeFlags.Placed | PreludeFlags.Shared, 99ul), (message.Prelude.FrameCount, message.Prelude.PayloadBytes, message.Prelude.Flags, message.Prelude.Acknowledged));
        byte[] expected =
        [
            .. Bytes(Prelude.Create(10, 7) with { Acknowledged = 99, HeaderBytes = 2, FrameCount = 2, Flags = (PreludeFlags)3, PayloadBytes = 5 }),
            .. BitConverter.GetBytes(5UL), .. BitConverter.GetBytes(70_000UL), .. BitConverter.GetBytes(ulong.MaxValue), .. BitConverter.GetBytes(Place),
            0xC0, 0xC0, .. frame.Span,
        ];
        Assert.Equal(expected, Sent(message));
    }

    [Fact]
    public void WithoutAPlacedFrameThereAreNoPlaces()
    {
        using var pool = new NativeBufferPool();
        using NativeBuffer frame = Filled(pool, 5, 1);
        var message = new OutgoingMessage();
        message.AddPlacedFrame(Place, 70_000);
        message.Shared = true;
        message.Fds.Add(0);
        message.Clear(); // nothing of it is left in what comes next
        message.AddFrame(frame.Segment);
        message.Seal(Prelude.Create(10, 7));
        Assert.Equal(PreludeFlags.None, message.Prelude.Flags);
        Assert.Equal(Prelude.Bytes + 8 + 5, Sent(message).Length);
    }

    [Fact]
    public void APlacedFrameHasNoSegments()
    {
        using var pool = new NativeBufferPool();
        using NativeBuffer frame = Filled(pool, 5, 1);
        var message = new OutgoingMessage();
        message.AddPlacedFrame(Place, 70_000);
        Assert.Throws<InvalidOperationException>(() => message.AddSegment(frame.Segment));
        Assert.Throws<ArgumentOutOfRangeException>(() => message.AddPlacedFrame(FramePlace.Inline, 70_000));
    }

    [Theory]
    [InlineData("p")]
    [InlineData("pppp")]
    [InlineData("ip")]
    [InlineData("pi")]
    [InlineData("ipIpiPI")] // capital: long
    public void InlineAndPlacedFramesPassAServerInBothDirections(string kinds)
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        for (ulong id = 1; id <= 2; id++)
        {
            var frames = kinds.Select((kind, i) => (IsPlaced: kind is 'p' or 'P', Length: char.IsUpper(kind) ? 300_000L + i : 70L + i)).ToArray();
            var message = new OutgoingMessage();
            for (int i = 0; i < frames.Length; i++)
                if (frames[i].IsPlaced)
                    message.AddPlacedFrame(FramePlace.Of(i, i * 4096L), frames[i].Length);
                else
                    message.AddFrame(Filled(server.Pool, frames[i].Length, i).Segment);
            message.Seal(Prelude.Create(TestServer.Echo, id));
            Send(channel, message);
            using IncomingMessage reply = Receive(channel);
            Assert.Equal(frames.Select(f => (ulong)f.Length), reply.FrameLengths.ToArray());
            Assert.Equal(frames.Select((f, i) => f.IsPlaced ? FramePlace.Of(i, i * 4096L) : FramePlace.Inline), reply.Places.ToArray());
            for (int i = 0; i < frames.Length; i++)
                if (frames[i].IsPlaced)
                    Assert.Null(reply.Frames[i]);
                else
                    AssertFilled(reply.Frames[i], frames[i].Length, i);
        }
    }

    [Fact]
    public void ASenderOfOneByteAtATimeIsUnderstoodOnBothSides()
    {
        using var server = new TestServer();
        byte[] message = Mixed(TestServer.Echo);
        (int mine, int loops) = UnixSocket.CreatePair();
        server.OnLoop(() => server.Loop.Adopt(loops));
        foreach (byte b in message)
        {
            SendRaw(mine, [b]);
            Thread.Yield();
        }
        using (var channel = new UnixChannel(mine, server.Pool, TransportLimits.Default))
            AssertMixed(Receive(channel));
        (int left, int right) = UnixSocket.CreatePair();
        using var reader = new UnixChannel(right, server.Pool, TransportLimits.Default);
        var came = new IncomingMessage();
        for (int i = 0; i < message.Length; i++)
        {
            Assert.False(reader.TryReceive(came, 0));
            SendRaw(left, [message[i]]);
        }
        Assert.True(reader.TryReceive(came, 0));
        AssertMixed(came);
        UnixSocket.Close(left);
    }

    [Fact]
    public void AHeadWithPlacesCutAnywhereIsCollectedTheSame() => Prop.ForAll(
        (from kinds in Gen.Elements(true, false).ArrayOf() from cuts in Gen.ArrayOf(Gen.Choose(1, 60)) select (kinds, cuts)).ToArbitrary(),
        given =>
        {
            byte[] header = [1, 2, 3];
            byte[] message = Head(given.kinds.Select(placed => (placed ? Place : FramePlace.Inline, 10UL)).ToArray(), header);
            byte[] stream = [.. message, .. message];
            var collector = new MessageHead();
            int heads = 0;
            int cut = 0;
            for (int at = 0; at < stream.Length;)
            {
                int piece = Math.Min(stream.Length - at, given.cuts.Length == 0 ? stream.Length : given.cuts[cut++ % given.cuts.Length]);
                ReadOnlySpan<byte> bytes = stream.AsSpan(at, piece);
                at += piece;
                while (!bytes.IsEmpty)
                    if (collector.Take(ref bytes, TransportLimits.Default, out var error, out var head))
                    {
                        Assert.Equal(message, head.ToArray());
                        ulong[] places = new ulong[given.kinds.Length];
                        MessageHead.CopyPlaces(head, places);
                        Assert.Equal(given.kinds.Select(placed => placed ? Place : FramePlace.Inline), places);
                        heads++;
                        collector.Clear();
                    }
                    else
                        Assert.Null(error);
            }
            Assert.Equal(2, heads);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void AnUnknownFlagIsRefusedByName()
    {
        using var server = new TestServer();
        AssertRejected<ProtocolException>(server, Bytes(Prelude.Create(2, 5) with { Flags = (PreludeFlags)5 }), "flags 0x5");
    }

    [Fact]
    public void APlacedFrameCountsAgainstTheLimitOfAFrameAndNotOfThePayload()
    {
        var limits = new TransportLimits { FrameBytes = 5000, PayloadBytes = 1000 };
        Prelude prelude = Prelude.Create(2, 5) with { FrameCount = 3, Flags = PreludeFlags.Placed, PayloadBytes = 1000 };
        Assert.Null(prelude.Check(limits));
        Assert.Null(prelude.CheckFrames([5000, 1000, 5000], [Place, FramePlace.Inline, Place], limits));
        Assert.IsType<LimitExceededException>(prelude.CheckFrames([5001, 1000, 5000], [Place, FramePlace.Inline, Place], limits));
    }

    [Theory]
    [InlineData(Place, 10UL, 10UL)] // counted as payload too
    [InlineData(FramePlace.Inline, 10UL, 0UL)] // not counted though it is inline
    [InlineData((1UL << 48) - 1, 2UL, 0UL)] // over the end of a segment
    [InlineData(ulong.MaxValue - 1, 3UL, 0UL)]
    public void PlacesThatContradictTheMessageAreRefused(ulong place, ulong length, ulong payload)
    {
        using var server = new TestServer();
        byte[] head = [.. Bytes(Prelude.Create(2, 5) with { FrameCount = 1, Flags = PreludeFlags.Placed, PayloadBytes = payload }), .. BitConverter.GetBytes(length), .. BitConverter.GetBytes(place)];
        AssertRejected<ProtocolException>(server, head, "message: ");
    }

    [Theory]
    [InlineData(60)] // in the lengths
    [InlineData(70)] // in the places
    public void AConnectionCutThereLeavesNothing(int bytes)
    {
        using var server = new TestServer();
        int fd = server.ConnectRaw();
        SendRaw(fd, Mixed(TestServer.Echo).AsSpan(0, bytes));
        UnixSocket.Close(fd);
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        Assert.Equal((0, 0), (server.HeadersSeen, server.PayloadsLost));
        Assert.Equal(0, server.Loop.FaultCount);
    }

    [Fact]
    public void AGatewayRefusesEveryFlag()
    {
        using var gateway = new EchoGateway();
        using var stranger = new DealerSocket();
        stranger.Options.Linger = TimeSpan.Zero;
        stranger.Connect(gateway.Address);
        stranger.SendFrame(Bytes(Prelude.Create(7, 5) with { Flags = PreludeFlags.Shared }));
        Assert.True(stranger.TryReceiveFrameBytes(TimeSpan.FromSeconds(20), out byte[]? reply));
        Assert.Equal((101, 5ul), (Prelude.Read(reply).Type, Prelude.Read(reply).RequestId));
        Assert.Contains("flags 0x2", Assert.IsType<ProtocolException>(Assert.Single(gateway.Rejections)).Message);
        Assert.Equal(0, gateway.Received);
    }

    [Fact]
    public void AClientOfAGatewayRefusesEveryFlag()
    {
        using var pool = new NativeBufferPool();
        using var gateway = new RouterSocket();
        int port = gateway.BindRandomPort("tcp://127.0.0.1");
        using DealerChannel channel = DealerChannel.Connect($"tcp://127.0.0.1:{port}", TimeSpan.FromSeconds(10), pool, TransportLimits.Default);
        Send(channel, Request(7, 1, default));
        NetMQMessage? request = null;
        Assert.True(gateway.TryReceiveMultipartMessage(TimeSpan.FromSeconds(20), ref request));
        byte[] answer = [.. Bytes(Prelude.Create(100, 1) with { FrameCount = 1, Flags = PreludeFlags.Placed }), .. BitConverter.GetBytes(9UL), .. BitConverter.GetBytes(Place)];
        gateway.SendMoreFrame(request![0].ToByteArray()).SendFrame(answer);
        using var message = new IncomingMessage();
        Assert.Throws<ProtocolException>(() => channel.TryReceive(message, 10_000));
    }

    [Fact]
    public void AMessageWithFlagsOrFilesCannotLeaveItsHost()
    {
        var shared = new OutgoingMessage { Shared = true };
        shared.Seal(Prelude.Create(7, 1));
        Assert.Throws<InvalidOperationException>(() => MultipartMessage.CopyOf(shared));
        var withFile = new OutgoingMessage();
        withFile.Fds.Add(0);
        withFile.Seal(Prelude.Create(7, 1));
        Assert.Throws<InvalidOperationException>(() => MultipartMessage.CopyOf(withFile));
    }

    private static byte[] Head((ulong Place, ulong Length)[] frames, byte[] header)
    {
        ulong payload = (ulong)frames.Where(f => f.Place == FramePlace.Inline).Sum(f => (long)f.Length);
        return
        [
            .. Bytes(Prelude.Create(2, 5) with { HeaderBytes = (uint)header.Length, FrameCount = (uint)frames.Length, Flags = PreludeFlags.Placed, PayloadBytes = payload }),
            .. frames.SelectMany(f => BitConverter.GetBytes(f.Length)), .. frames.SelectMany(f => BitConverter.GetBytes(f.Place)), .. header,
        ];
    }

    /// <summary>A placed frame of 70,000 bytes, inline frames of 1 and of 4.</summary>
    private static byte[] Mixed(ushort type)
    {
        byte[] message = [.. Head([(FramePlace.Inline, 1), (Place, 70_000), (FramePlace.Inline, 4)], [1, 2, 3]), 4, 5, 6, 7, 8];
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), type);
        return message;
    }

    private static void AssertMixed(IncomingMessage message)
    {
        Assert.Equal([1, 2, 3], message.HeaderBytes.ToArray());
        Assert.Equal([1, 70_000, 4], message.FrameLengths.ToArray());
        Assert.Equal([FramePlace.Inline, Place, FramePlace.Inline], message.Places.ToArray());
        Assert.Equal([4], message.Frames[0]!.Span.ToArray());
        Assert.Null(message.Frames[1]);
        Assert.Equal([5, 6, 7, 8], message.Frames[2]!.Span.ToArray());
        message.Dispose();
    }

    private static void AssertRejected<T>(TestServer server, byte[] bytes, string text)
        where T : TransferQueueException
    {
        int fd = server.ConnectRaw();
        SendRaw(fd, bytes);
        using var channel = new UnixChannel(fd, server.Pool, TransportLimits.Default);
        using IncomingMessage reply = Receive(channel);
        Assert.Equal((101, 5ul), (reply.Prelude.Type, reply.Prelude.RequestId));
        Assert.Contains(text, Assert.IsType<T>(Assert.Single(server.Rejections)).Message);
        Assert.Equal(0, server.HeadersSeen);
    }

    private static byte[] Sent(OutgoingMessage message)
    {
        (int a, int b) = UnixSocket.CreatePair();
        byte[] bytes = new byte[message.TotalBytes + 1];
        Assert.Equal(message.TotalBytes, SocketIO.Send(a, message, long.MaxValue));
        fixed (byte* first = bytes)
            Assert.Equal(message.TotalBytes, SocketIO.Receive(b, first, bytes.Length));
        UnixSocket.Close(a);
        UnixSocket.Close(b);
        return bytes[..^1];
    }
}

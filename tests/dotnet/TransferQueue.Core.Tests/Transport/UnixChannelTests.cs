using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using TransferQueue.Transport;
using Xunit;
using static TransferQueue.Tests.Transport.TestClient;

namespace TransferQueue.Tests.Transport;

public sealed unsafe class UnixChannelTests
{
    [Fact]
    public void NobodyListeningIsNotRunning()
    {
        using var pool = new NativeBufferPool();
        Assert.Throws<NotRunningException>(() => UnixChannel.Connect("/tmp/tq-nobody-is-here", TimeSpan.FromSeconds(1), pool, TransportLimits.Default));
    }

    [Fact]
    public void APathThatNoAddressHoldsIsRefusedWithItsLength()
    {
        var error = Assert.Throws<InvalidArgumentException>(() => UnixSocket.Connect("/tmp/" + new string('x', 200), TimeSpan.FromSeconds(1)));
        Assert.Contains("205 bytes", error.Message);
    }

    [Fact]
    public void AFullQueueOfConnectionsEndsInADeadline()
    {
        string folder = Directory.CreateTempSubdirectory("tq-full").FullName;
        string path = Path.Combine(folder, "s");
        int listener = UnixSocket.Listen(path, backlog: 0);
        List<int> fds = [];
        Assert.Throws<DeadlineExceededException>(() =>
        {
            for (int i = 0; i < 10; i++)
                fds.Add(UnixSocket.Connect(path, TimeSpan.FromMilliseconds(50)));
        });
        fds.ForEach(UnixSocket.Close);
        UnixSocket.Close(listener);
        Directory.Delete(folder, true);
    }

    [Fact]
    public void SendingAndReceivingCanBeLeftAndResumed()
    {
        using var pool = new NativeBufferPool();
        (int a, int b) = UnixSocket.CreatePair();
        using var left = new UnixChannel(a, pool, TransportLimits.Default);
        using var right = new UnixChannel(b, pool, TransportLimits.Default);
        using NativeBuffer frame = Filled(pool, 9_000_000, 2);
        OutgoingMessage message = Request(5, 6, "head"u8, frame);
        using var reply = new IncomingMessage();
        int leftSending = 0, leftReceiving = 0;
        bool isSent = false;
        while (!right.TryReceive(reply, 0))
        {
            leftReceiving++;
            if (!isSent && !(isSent = left.TrySend(message, 0)))
                leftSending++;
        }
        Assert.True(leftSending > 1 && leftReceiving > 1, "one call did it all: the test shows nothing");
        AssertFilled(reply.Frames[0], 9_000_000, 2);
    }

    [Fact]
    public void AnEmptySocketIsLeftAfterTheTimeGiven()
    {
        using var pool = new NativeBufferPool();
        (int a, int b) = UnixSocket.CreatePair();
        using var channel = new UnixChannel(a, pool, TransportLimits.Default) { SpinMicroseconds = 50 };
        using var message = new IncomingMessage();
        Assert.False(channel.TryReceive(message, 0));
        Assert.False(channel.TryReceive(message, 20));
        UnixSocket.Close(b);
        Assert.Throws<ConnectionLostException>(() => channel.TryReceive(message, 20));
        Assert.Throws<ConnectionLostException>(() => channel.TrySend(Request(1, 1, default), 20));
    }

    [Fact]
    public void AReplyThatIsWaitedForCostsOneCallToTheKernel()
    {
        using var pool = new NativeBufferPool();
        (int a, int b) = UnixSocket.CreatePair();
        using var channel = new UnixChannel(a, pool, TransportLimits.Default) { SpinMicroseconds = 0 };
        using var message = new IncomingMessage();
        var sender = new Thread(() =>
        {
            for (ulong id = 1; id <= 5; id++)
            {
                Thread.Sleep(10); // the other one waits by then; if not, the test shows less, and passes
                SendRaw(b, Bytes(Prelude.Create(100, id)));
            }
        });
        sender.Start();
        for (ulong id = 1; id <= 5; id++)
        {
            Assert.True(channel.TryReceive(message, 20_000));
            Assert.Equal(id, message.Prelude.RequestId);
            message.Clear();
        }
        sender.Join();
        Assert.InRange(channel.ReceiveCalls, 5, 10); // more only for a sender that the system holds up longer than a slice
        UnixSocket.Close(b);
    }

    [Fact]
    public void AWaitThatSpinsGetsItsReplyToo()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        channel.SpinMicroseconds = 50;
        for (ulong id = 1; id <= 300; id++)
        {
            Send(channel, Request(TestServer.Echo, id, default));
            using IncomingMessage reply = Receive(channel);
            Assert.Equal(id, reply.Prelude.RequestId);
        }
    }

    [Fact]
    public void SpinningStopsWhereItDoesNotHelpAndIsTriedAgain()
    {
        var budget = new SpinBudget();
        List<int> pauses = [];
        for (int failure = 0; failure < 9; failure++)
        {
            Assert.True(budget.TryTake());
            budget.Note(wasEnough: false);
            int skipped = 0;
            while (!budget.TryTake())
                skipped++;
            pauses.Add(skipped);
        }
        Assert.Equal([1, 2, 4, 8, 16, 32, 64, 64, 64], pauses);
        budget.Note(wasEnough: true);
        Assert.True(budget.TryTake());
        budget.Note(wasEnough: false);
        Assert.False(budget.TryTake());
        Assert.True(budget.TryTake());
    }

    [Fact]
    public void AConnectionThatEndsInTheMiddleOfAReplyGivesItsBuffersBack()
    {
        using var pool = new NativeBufferPool();
        (int a, int b) = UnixSocket.CreatePair();
        var channel = new UnixChannel(a, pool, TransportLimits.Default);
        SendRaw(b, [.. Bytes(Prelude.Create(100, 1) with { FrameCount = 1, PayloadBytes = 1000, HeaderBytes = 1 }), .. BitConverter.GetBytes(1000L), 9, 1, 2, 3]);
        UnixSocket.Close(b);
        var message = new IncomingMessage();
        Assert.Throws<ConnectionLostException>(() => channel.TryReceive(message, 1000));
        message.Clear();
        channel.Dispose();
        Assert.Equal(0, pool.OutCount);
    }

    [Fact]
    public void AReplyThatIsNoMessageIsAProtocolError()
    {
        using var pool = new NativeBufferPool();
        (int a, int b) = UnixSocket.CreatePair();
        using var channel = new UnixChannel(a, pool, TransportLimits.Default);
        SendRaw(b, new byte[100]);
        using var message = new IncomingMessage();
        Assert.Throws<ProtocolException>(() => channel.TryReceive(message, 1000));
        UnixSocket.Close(b);
    }

    [Fact]
    public void MessagesWithoutNumberOfPiecesArriveInOrder()
    {
        using var pool = new NativeBufferPool();
        (int a, int b) = UnixSocket.CreatePair();
        using var left = new UnixChannel(a, pool, TransportLimits.Default);
        using var right = new UnixChannel(b, pool, TransportLimits.Default);
        using NativeBuffer bytes = Filled(pool, 100_000, 4);
        var message = new OutgoingMessage();
        message.UseHeader(bytes.Segment.Take(777));
        for (int frame = 0; frame < 500; frame++)
        {
            message.BeginFrame();
            for (int piece = 0; piece < frame % 5; piece++)
                message.AddSegment(bytes.Segment.Skip(frame * 100 + piece * 10).Take(10));
        }
        message.Seal(Prelude.Create(3, 3));
        Send(left, message);
        using IncomingMessage got = Receive(right);
        Assert.Equal(777, got.HeaderBytes.Length);
        Assert.Equal(500, got.Frames.Count);
        for (int frame = 0; frame < 500; frame++)
            Assert.True(got.Frames[frame]!.Span.SequenceEqual(bytes.Span.Slice(frame * 100, frame % 5 * 10)));
    }

    [Fact]
    public void DetachedBuffersAreTheCallers()
    {
        using var pool = new NativeBufferPool();
        (int a, int b) = UnixSocket.CreatePair();
        using var left = new UnixChannel(a, pool, TransportLimits.Default);
        using var right = new UnixChannel(b, pool, TransportLimits.Default);
        using NativeBuffer frame = Filled(pool, 1000, 4);
        Send(left, Request(1, 1, "h"u8, frame));
        IncomingMessage message = Receive(right);
        List<NativeBuffer?> frames = [];
        using NativeBuffer header = message.Detach(frames)!;
        message.Clear();
        AssertFilled(Assert.Single(frames), 1000, 4);
        Assert.Equal((byte)'h', header.Address[0]);
        frames[0]!.Dispose();
    }

    [Fact]
    public void FilesArePassedWithBytes()
    {
        using var arena = new Arena(new ArenaOptions { CapacityBytes = 1 << 20 });
        Assert.True(arena.TryGrow(1, 0, out _));
        arena.Address(0, 100)[0] = 42;
        (int a, int b) = UnixSocket.CreatePair();
        FdPassing.Send(a, "segment 0"u8, [arena.Segments[0].Fd, a], TimeSpan.FromSeconds(1));
        Span<byte> bytes = stackalloc byte[100];
        Span<int> fds = stackalloc int[FdPassing.MostFds];
        int count = FdPassing.Receive(b, bytes, fds, out int files, TimeSpan.FromSeconds(1));
        Assert.True(bytes[..count].SequenceEqual("segment 0"u8));
        Assert.Equal(2, files);
        Assert.NotEqual(arena.Segments[0].Fd, fds[0]);
        void* map = Libc.mmap(null, 4096, Libc.PROT_READ, Libc.MAP_SHARED, fds[0], 0);
        Assert.Equal(42, ((byte*)map)[100]);
        Libc.munmap(map, 4096);
        Assert.Throws<DeadlineExceededException>(() => FdPassing.Receive(b, new byte[1], new int[FdPassing.MostFds], out _, TimeSpan.FromMilliseconds(10)));
        foreach (int fd in (int[])[a, b, fds[0], fds[1]])
            UnixSocket.Close(fd);
    }
}

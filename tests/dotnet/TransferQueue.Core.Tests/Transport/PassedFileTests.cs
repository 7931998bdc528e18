using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using TransferQueue.Transport;
using TransferQueue.Transport.Native;
using Xunit;
using static TransferQueue.Tests.Transport.TestClient;

namespace TransferQueue.Tests.Transport;

/// <summary>Open files that travel with messages. A pipe tells whether a copy of its write end is open anywhere: its read end has no end until all are closed.</summary>
public sealed unsafe class PassedFileTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(100, 0)]
    [InlineData(3_000_000, 0)] // larger than the socket holds: goes on without files
    [InlineData(100, 100_000)]
    public void FilesArriveWithTheMessageThatTheyWereSentWith(int headerBytes, int frameBytes)
    {
        using var pool = new NativeBufferPool();
        using var pipe = new Pipe();
        (int a, int b) = UnixSocket.CreatePair();
        using var left = new UnixChannel(a, pool, TransportLimits.Default);
        using var right = new UnixChannel(b, pool, TransportLimits.Default);
        var message = new OutgoingMessage();
        message.Header.GetSpan(headerBytes);
        message.Header.Advance(headerBytes);
        message.AddFrame(Filled(pool, frameBytes, 1).Segment);
        message.Fds.Add(pipe.WriteEnd);
        message.Seal(Prelude.Create(1, 2));
        Send(left, Request(1, 1, "before"u8));
        var sender = new Thread(() =>
        {
            Send(left, message);
            Send(left, Request(1, 3, "after"u8));
        });
        sender.Start();
        using IncomingMessage before = Receive(right), with = Receive(right), after = Receive(right);
        sender.Join();
        Assert.Equal([0, 1, 0], new[] { before, with, after }.Select(m => m.Fds.Count));
        int fd = Assert.Single(with.TakeFds());
        Assert.Empty(with.Fds);
        Assert.NotEqual(pipe.WriteEnd, fd);
        Assert.Equal(1, Libc.fcntl(fd, 1 /* F_GETFD */, 0)); // close-on-exec
        pipe.CloseWriteEnd();
        with.Clear();
        Assert.False(pipe.HasEnded); // the receiver's own copy lives on
        UnixSocket.Close(fd);
        Assert.True(pipe.HasEnded);
    }

    [Fact]
    public void FilesOfManyQueuedRepliesAreNotMixedUp()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        const int Replies = 60;
        Pipe[] pipes = [.. Enumerable.Range(0, Replies).Select(_ => new Pipe())];
        server.Custom = (connection, prelude) =>
        {
            for (int i = 0; i < Replies; i++)
            {
                OutgoingMessage message = server.Loop.RentMessage();
                int headerBytes = i % 6 == 0 ? 70_000 : i * 40; // a long one is read in several pieces: files sent with it would seem to be its
                message.Header.GetSpan(headerBytes);
                message.Header.Advance(headerBytes);
                for (int files = 0; files < i % 3; files++) // none, one, two of the same
                    message.Fds.Add(pipes[i].WriteEnd);
                message.Seal(Prelude.Create(100, prelude.RequestId + (ulong)i));
                connection.Send(message);
            }
            return ReceivePlan.None;
        };
        Send(channel, Request(TestServer.Own, 1, default));
        for (int i = 0; i < Replies; i++)
        {
            using IncomingMessage reply = Receive(channel);
            Assert.Equal((ulong)i + 1, reply.Prelude.RequestId);
            Assert.Equal(i % 3, reply.Fds.Count);
            foreach (int fd in reply.Fds)
                pipes[i].AssertIsWriteEnd(fd);
        }
        foreach (Pipe pipe in pipes)
        {
            pipe.CloseWriteEnd();
            Assert.True(pipe.HasEnded); // nobody took them: they were closed with their messages
            pipe.Dispose();
        }
    }

    [Fact]
    public void AReplyThatAMoverSendsHasItsFiles()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        using var pipe = new Pipe();
        using NativeBuffer frame = Filled(server.Pool, 5_000_000, 1);
        server.Custom = (connection, prelude) =>
        {
            OutgoingMessage message = server.Loop.RentMessage();
            message.AddFrame(frame.Segment);
            message.Fds.Add(pipe.WriteEnd);
            message.Seal(Prelude.Create(100, prelude.RequestId));
            connection.Send(message);
            return ReceivePlan.None;
        };
        Send(channel, Request(TestServer.Own, 1, default));
        using IncomingMessage reply = Receive(channel);
        AssertFilled(reply.Frames[0], 5_000_000, 1);
        pipe.AssertIsWriteEnd(Assert.Single(reply.Fds));
    }

    [Fact]
    public void FilesThatAClientSendsToAServerAreClosed()
    {
        using var server = new TestServer();
        using UnixChannel channel = server.Connect();
        using var pipe = new Pipe();
        OutgoingMessage request = Request(TestServer.Echo, 1, "x"u8);
        request.Fds.Add(pipe.WriteEnd);
        request.Seal(Prelude.Create(TestServer.Echo, 1));
        Send(channel, request);
        Receive(channel).Dispose();
        pipe.CloseWriteEnd();
        Until(() => pipe.HasEnded, "the end of the server's copy");
    }

    [Fact]
    public void FilesOfAMessageThatNeverBecomesWholeAreClosed()
    {
        using var pool = new NativeBufferPool();
        using var pipe = new Pipe();
        (int a, int b) = UnixSocket.CreatePair();
        var right = new UnixChannel(b, pool, TransportLimits.Default);
        FdPassing.Send(a, Bytes(Prelude.Create(100, 1) with { HeaderBytes = 5 }), [pipe.WriteEnd], TimeSpan.FromSeconds(1));
        pipe.CloseWriteEnd();
        using (var message = new IncomingMessage())
        {
            Assert.False(right.TryReceive(message, 0));
            Assert.False(pipe.HasEnded);
        }
        Assert.True(pipe.HasEnded);
        using var next = new Pipe(); // files that came behind the message that was read
        FdPassing.Send(a, new byte[5], [next.WriteEnd], TimeSpan.FromSeconds(1));
        next.CloseWriteEnd();
        using (var rest = new IncomingMessage())
            Assert.True(right.TryReceive(rest, 0));
        right.Dispose();
        Assert.True(next.HasEnded);
        UnixSocket.Close(a);
    }

    [Fact]
    public void MoreFilesThanAMessageMayHaveAreAProtocolErrorAndClosed()
    {
        using var pool = new NativeBufferPool();
        using var pipe = new Pipe();
        (int a, int b) = UnixSocket.CreatePair();
        var right = new UnixChannel(b, pool, TransportLimits.Default);
        byte[] bytes = Bytes(Prelude.Create(100, 1) with { HeaderBytes = 5 });
        var message = new IncomingMessage();
        int[] files = [.. Enumerable.Repeat(pipe.WriteEnd, 100)];
        FdPassing.Send(a, bytes.AsSpan(0, 10), files, TimeSpan.FromSeconds(1));
        FdPassing.Send(a, bytes.AsSpan(10, 10), files, TimeSpan.FromSeconds(1));
        Assert.False(right.TryReceive(message, 0));
        FdPassing.Send(a, bytes.AsSpan(20, 10), files, TimeSpan.FromSeconds(1));
        Assert.Throws<ProtocolException>(() => right.TryReceive(message, 0));
        pipe.CloseWriteEnd();
        message.Dispose();
        right.Dispose();
        Assert.True(pipe.HasEnded);
        UnixSocket.Close(a);
        var tooMany = new OutgoingMessage();
        tooMany.Fds.AddRange(Enumerable.Repeat(0, 254));
        Assert.Throws<InvalidOperationException>(() => tooMany.Seal(Prelude.Create(1, 1)));
    }

    [Fact]
    public void FilesOfAReplyThatCannotBeSentStayItsMakers()
    {
        using var server = new TestServer();
        int fd = server.ConnectRaw();
        using var pipe = new Pipe();
        int completed = 0;
        server.Custom = (connection, prelude) =>
        {
            OutgoingMessage message = server.Loop.RentMessage();
            message.Fds.Add(pipe.WriteEnd);
            message.Completed = (m, isSent) => completed = !isSent && m.Fds.SequenceEqual([pipe.WriteEnd]) && !pipe.HasEnded ? 1 : 2;
            message.Seal(Prelude.Create(100, prelude.RequestId));
            connection.Abort("for the test");
            connection.Send(message);
            return ReceivePlan.None;
        };
        SendRaw(fd, Bytes(Prelude.Create(TestServer.Own, 1)));
        Until(() => Volatile.Read(ref completed) != 0, "the completion");
        Assert.Equal(1, completed);
        UnixSocket.Close(fd);
    }

    private sealed class Pipe : IDisposable
    {
        private readonly int _readEnd;

        public Pipe()
        {
            int* ends = stackalloc int[2];
            Errno.Check(LibcSockets.pipe2(ends, LibcSockets.O_CLOEXEC | LibcSockets.O_NONBLOCK), "test");
            (_readEnd, WriteEnd) = (ends[0], ends[1]);
        }

        public int WriteEnd { get; private set; }

        /// <summary>Whether no copy of the write end is open any more.</summary>
        public bool HasEnded
        {
            get
            {
                byte b;
                return LibcSockets.read(_readEnd, &b, 1) == 0;
            }
        }

        public void AssertIsWriteEnd(int fd)
        {
            byte sent = 42, came;
            Assert.Equal(1, LibcSockets.write(fd, &sent, 1));
            Assert.Equal(1, LibcSockets.read(_readEnd, &came, 1));
        }

        public void CloseWriteEnd()
        {
            if (WriteEnd >= 0)
                _ = Libc.close(WriteEnd);
            WriteEnd = -1;
        }

        public void Dispose()
        {
            CloseWriteEnd();
            _ = Libc.close(_readEnd);
        }
    }
}

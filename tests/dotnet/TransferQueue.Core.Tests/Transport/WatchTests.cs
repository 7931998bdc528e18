using System.Diagnostics;
using System.IO.Pipes;
using TransferQueue.Memory.Native;
using TransferQueue.Transport;
using Xunit;
using static TransferQueue.Tests.Transport.TestClient;

namespace TransferQueue.Tests.Transport;

/// <summary>What a loop watches besides its connections: pipes, and the end of processes.</summary>
public sealed class WatchTests
{
    [Fact]
    public void AnFdIsReportedAsLongAsItCanBeReadAndNotWhenTheWatchHasEnded()
    {
        using var server = new TestServer();
        using var fd = new EventFd();
        int calls = 0, loopThread = 0, callThread = 0;
        IDisposable? watch = null;
        server.OnLoop(() =>
        {
            loopThread = Environment.CurrentManagedThreadId;
            watch = server.Loop.Watch(fd.Fd, () =>
            {
                callThread = Environment.CurrentManagedThreadId;
                if (Interlocked.Increment(ref calls) == 3)
                    fd.Clear();
            });
        });
        fd.Signal();
        Until(() => Volatile.Read(ref calls) == 3, "three calls for one signal");
        server.OnLoop(() => { });
        Assert.Equal((3, loopThread), (calls, callThread));
        fd.Signal();
        Until(() => Volatile.Read(ref calls) > 3, "a call for the next signal");
        server.OnLoop(() => watch!.Dispose());
        int before = calls;
        server.OnLoop(() => { });
        server.OnLoop(() => watch!.Dispose());
        Assert.Equal(before, calls);
        server.OnLoop(() => server.Loop.Watch(fd.Fd, () => fd.Clear())); // the same fd again
        Assert.Equal(0, server.Loop.FaultCount);
    }

    [Fact]
    public void TheEndOfAPipeIsReported()
    {
        using var server = new TestServer();
        using var readEnd = new AnonymousPipeServerStream(PipeDirection.In);
        bool hasEnded = false;
        server.OnLoop(() =>
        {
            IDisposable? watch = null;
            watch = server.Loop.Watch((int)readEnd.SafePipeHandle.DangerousGetHandle(), () =>
            {
                watch!.Dispose();
                Volatile.Write(ref hasEnded, true);
            });
        });
        server.OnLoop(() => { });
        Assert.False(hasEnded);
        readEnd.ClientSafePipeHandle.Dispose();
        Until(() => Volatile.Read(ref hasEnded), "the report");
    }

    [Fact]
    public void AWatchThatFailsIsEnded()
    {
        using var server = new TestServer();
        using var fd = new EventFd();
        fd.Signal();
        server.OnLoop(() => server.Loop.Watch(fd.Fd, () => throw new InvalidOperationException("asked for")));
        Until(() => server.Loop.FaultCount > 0, "the fault");
        server.OnLoop(() => { });
        server.OnLoop(() => { });
        Assert.Equal(1, server.Loop.FaultCount);
    }

    [Fact]
    public void ASecondWatchOfAnFdIsRefused()
    {
        using var server = new TestServer();
        using var fd = new EventFd();
        bool isRefused = false;
        server.OnLoop(() =>
        {
            server.Loop.Watch(fd.Fd, () => { });
            try
            {
                server.Loop.Watch(fd.Fd, () => { });
            }
            catch (TransferQueueException)
            {
                isRefused = true;
            }
        });
        Assert.True(isRefused);
    }

    [Fact]
    public void AProcessThatIsKilledIsReportedOnceWhateverItsConnectionDoes()
    {
        using var server = new TestServer();
        int reports = 0;
        using Process client = StartClient(server);
        Until(() => server.Connections.Count == 1, "the connection of the process");
        ServerConnection connection = server.Connections.Single();
        Assert.Equal(client.Id, connection.PeerProcessId);
        server.OnLoop(() =>
        {
            ProcessWatch.Start(server.Loop, connection, () => reports++);
            connection.Abort("for the test");
        });
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        server.OnLoop(() => { });
        Assert.Equal(0, reports); // it still lives
        client.Kill();
        Until(() => Volatile.Read(ref reports) > 0, "the report");
        client.WaitForExit();
        server.OnLoop(() => { });
        Assert.Equal(1, reports);
    }

    [Fact]
    public void AProcessThatHadEndedBeforeIsReportedToo()
    {
        using var server = new TestServer();
        using Process client = StartClient(server);
        Until(() => server.Connections.Count == 1, "the connection of the process");
        int reports = 0;
        server.OnLoop(() =>
        {
            client.Kill();
            client.WaitForExit(); // and reaped
            ProcessWatch.Start(server.Loop, server.Connections.Single(), () => reports++);
            Assert.Equal(0, reports);
        });
        Until(() => Volatile.Read(ref reports) == 1, "the report");
        Assert.Equal(0, server.Loop.FaultCount);
    }

    [Fact]
    public void AWatchThatIsDisposedOfReportsNothing()
    {
        using var server = new TestServer();
        using Process client = StartClient(server);
        Until(() => server.Connections.Count == 1, "the connection of the process");
        int reports = 0;
        server.OnLoop(() => ProcessWatch.Start(server.Loop, server.Connections.Single(), () => reports++).Dispose());
        client.Kill();
        client.WaitForExit();
        Until(() => server.Disconnects.Count == 1, "the end of the connection");
        server.OnLoop(() => { });
        Assert.Equal(0, reports);
    }

    [Fact]
    public void AnOldKernelsWayOpensTheSameProcess()
    {
        using Process other = Process.Start(new ProcessStartInfo("sleep", "100"))!;
        int fd = ProcessWatch.OpenByNumber(other.Id);
        Assert.True(fd >= 0);
        Assert.False(UnixSocket.Wait(fd, forRead: true, forWrite: false, 0));
        other.Kill();
        Assert.True(UnixSocket.Wait(fd, forRead: true, forWrite: false, 20_000));
        UnixSocket.Close(fd);
        other.WaitForExit();
        Assert.Equal(-Errno.ESRCH, ProcessWatch.OpenByNumber(other.Id));
        Assert.Throws<TransferQueueException>(() => ProcessWatch.OpenByNumber(0)); // what SO_PEERCRED says of a process of another namespace
    }

    /// <summary>A process that connects and then does nothing.</summary>
    private static Process StartClient(TestServer server) => Process.Start(new ProcessStartInfo("python3")
    {
        ArgumentList = { "-c", "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); time.sleep(100)", server.Path },
    })!;
}

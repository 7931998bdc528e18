using System.Buffers;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Hosting;
using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using TransferQueue.Protocol;
using TransferQueue.Tests.Transport;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Hosting;

/// <summary>A core in a folder of its own and raw clients of it.</summary>
internal sealed class TestCore : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tq-core").FullName;
    private readonly CoreServer _server;
    private readonly int _listenFd;

    public TestCore(long capacityBytes = 64 << 20)
    {
        _listenFd = UnixSocket.Listen(Path);
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteMapHeader(2);
        writer.Write("listen_fd");
        writer.Write(_listenFd);
        writer.Write("capacity_bytes");
        writer.Write(capacityBytes);
        writer.Flush();
        _server = CoreServer.Start(buffer.WrittenMemory);
    }

    public string Path => System.IO.Path.Combine(_folder, "s");

    public NativeBufferPool Pool { get; } = new();

    public TestCoreClient Connect(byte client = 1) => new(this, client);

    /// <summary>Connects as a gateway does for a client on another host.</summary>
    public TestCoreClient ConnectRelayed(byte client = 1) => new(this, client, (ReadOnlyMemory<byte>)new byte[32]);

    public void Dispose()
    {
        _server.Stop();
        UnixSocket.Close(_listenFd);
        Directory.Delete(_folder, recursive: true);
    }
}

/// <summary>One connection of a client, which sends messages by hand and maps the memory.</summary>
internal sealed unsafe class TestCoreClient : IDisposable
{
    private readonly UnixChannel _channel;
    private readonly List<nint> _maps = [];
    private ulong _last;

    public TestCoreClient(TestCore core, byte client, ReadOnlyMemory<byte>? proof = null)
    {
        _last = (ulong)client << 32;
        _channel = UnixChannel.Connect(core.Path, TimeSpan.FromSeconds(5), core.Pool, TransportLimits.Default);
        byte[] id = new byte[16];
        id[0] = client;
        Hello = HelloReply.Read(Ask(new HelloRequest(id, 1, "test", proof)).Header);
    }

    public HelloReply Hello { get; }

    /// <summary>Whether each request says that all answers before it have come.</summary>
    public bool Acknowledges { get; set; }

    /// <summary>The id of the last request.</summary>
    public ulong LastRequest => _last;

    /// <summary>A reply: its header, its lease, its frames' lengths, places and bytes, its files.</summary>
    public sealed record Answer(byte[] Header, ulong Lease, long[] Lengths, ulong[] Places, byte[]?[] Frames, int[] Fds);

    /// <summary>Sends a request and waits for its reply; an error reply is thrown.</summary>
    public Answer Ask(Request request, PreludeFlags flags = PreludeFlags.None, uint timeout = 0, params (byte[]? Bytes, ulong Place, long Length)[] frames)
    {
        Send(request, flags, timeout, frames);
        return Receive();
    }

    public void Send(Request request, PreludeFlags flags = PreludeFlags.None, uint timeout = 0, params (byte[]? Bytes, ulong Place, long Length)[] frames)
    {
        var message = new OutgoingMessage { Shared = flags.HasFlag(PreludeFlags.Shared) };
        message.Header.Write(request.ToHeader().Span);
        List<NativeBuffer> buffers = [];
        using var pool = new NativeBufferPool();
        foreach (var (bytes, place, length) in frames)
        {
            if (bytes is null)
            {
                message.AddPlacedFrame(place, length);
                continue;
            }
            NativeBuffer buffer = pool.Rent(bytes.Length);
            bytes.CopyTo(buffer.Span);
            buffers.Add(buffer);
            message.AddFrame(buffer.Segment);
        }
        message.Seal(Prelude.Create((ushort)request.Type, ++_last) with { TimeoutMilliseconds = timeout, Acknowledged = Acknowledges ? _last : 0 });
        TestClient.Send(_channel, message);
        buffers.ForEach(buffer => buffer.Dispose());
    }

    public Answer Receive()
    {
        using IncomingMessage reply = TestClient.Receive(_channel);
        byte[] header = reply.HeaderBytes.ToArray();
        if (reply.Prelude.Type == (ushort)MessageType.Error)
            throw ErrorReply.Read(header).ToException();
        return new Answer(
            header, reply.Prelude.Acknowledged, [.. reply.FrameLengths.ToArray().Select(length => (long)length)], reply.Places.ToArray(),
            [.. reply.Frames.Select(frame => frame?.Span.ToArray())], reply.TakeFds());
    }

    /// <summary>Maps all segments.</summary>
    public void Map()
    {
        Answer answer = Ask(new MemoryRequest(0));
        var segments = MemoryReply.Read(answer.Header).Segments;
        Assert.Equal(segments.Length, answer.Fds.Length);
        foreach (var (segment, fd) in segments.Zip(answer.Fds))
        {
            void* map = Libc.mmap(null, (nuint)segment.Length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_NORESERVE, fd, 0);
            Assert.NotEqual((nint)Libc.MAP_FAILED, (nint)map);
            _maps.Add((nint)map);
            _ = Libc.close(fd);
        }
    }

    /// <summary>Maps all segments, unless that was done.</summary>
    public void MapOnce()
    {
        if (_maps.Count == 0)
            Map();
    }

    /// <summary>Shared memory at a place.</summary>
    public Span<byte> At(ulong place, long length) =>
        new((byte*)_maps[FramePlace.Segment(place)] + FramePlace.Offset(place), (int)length);

    public long Stat(string name) => StatsReply.Read(Ask(PlainRequest.Stats).Header).Values[name];

    public void Dispose() => _channel.Dispose();
}

using System.Buffers;
using MessagePack;
using TransferQueue.Client;
using TransferQueue.Columns;
using TransferQueue.Hosting;
using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Tests.Client;
using Xunit;

namespace TransferQueue.Tests.Hosting;

/// <summary>A gateway between a client that knows only its TCP address and a core whose answers lie in shared memory.</summary>
public sealed unsafe class GatewayServerTests : IDisposable
{
    private const int Bytes = 8 << 20;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly byte[] Token = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    private readonly MemoryServer _core = new();
    private readonly NativeBufferPool _pool = new();
    private readonly NativeBuffer _header;
    private readonly GatewayServer _gateway;
    private readonly TransferQueue.Client.ClientSession _remote;

    public GatewayServerTests()
    {
        _header = _pool.Rent(1);
        _header.Span.Fill(0x80);
        _gateway = GatewayServer.Start(Options());
        _remote = new TransferQueue.Client.ClientSession(new ClientOptions { Address = ServerAddress.Parse(_gateway.Address), Token = Token });
        Assert.NotNull(_remote.Open(Patience));
        new Span<byte>(_core.At(0), Bytes).Fill(7);
        new Span<byte>(_core.At(Bytes), Bytes).Fill(8);
        _core.Stored.AddRange([(FramePlace.Of(0, 0), Bytes), (FramePlace.Of(0, Bytes), Bytes - 5)]);
    }

    public void Dispose()
    {
        _remote.Dispose();
        _gateway.Stop();
        _core.Dispose();
        _header.Dispose();
        _pool.Dispose();
    }

    [Fact]
    public void WhatLiesInSharedMemoryIsCopiedFromThereAndItsLeaseIsGivenBack()
    {
        for (ulong lease = 1; lease <= 2; lease++)
        {
            using ClientReply reply = Get();
            Assert.False(reply.IsError);
            Assert.Equal([Bytes, Bytes - 5], reply.Frames.Select(frame => (int)frame.Bytes.Length));
            Assert.Equal(-1, MemoryServer.Bytes(reply, 0).IndexOfAnyExcept((byte)7));
            Assert.Equal(-1, MemoryServer.Bytes(reply, 1).IndexOfAnyExcept((byte)8));
            Assert.Equal([lease], _core.Releases.Last().Leases);
        }
        Assert.Equal(1, _core.Count(MessageType.Memory));
        Assert.All(_core.Requests.Where(request => request.Type == MessageType.Release), request => Assert.True(request.Id > 1UL << 63));
    }

    [Fact]
    public void NothingGoesOutWhoseLeaseMayHaveEndedBeforeTheCopy()
    {
        Get().Dispose();
        _core.CutNext = MessageType.Release; // the core ends the connection, and with it the lease: since when, nobody knows
        using ClientReply reply = Get();
        Assert.Equal(-1, MemoryServer.Bytes(reply, 0).IndexOfAnyExcept((byte)7));
        Assert.Equal(3, _core.Count(MessageType.Get)); // the client was told that its connection is lost, and has asked again
    }

    [Fact]
    public void APlaceThatDoesNotExistIsAnErrorAndItsLeaseIsGivenBack()
    {
        _core.Stored[1] = (FramePlace.Of(3, 0), Bytes);
        using (ClientReply reply = Get())
            Assert.Contains("no shared memory", ErrorReply.Read(reply.CopyHeader()).Message, StringComparison.Ordinal);
        Assert.True(SpinWait.SpinUntil(() => _core.Releases.Count == 1, Patience));
        _core.Stored.RemoveAt(1);
        using ClientReply next = Get();
        Assert.Equal(-1, MemoryServer.Bytes(next, 0).IndexOfAnyExcept((byte)7));
    }

    private ReadOnlyMemory<byte> Options()
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteMapHeader(3);
        writer.Write("listen");
        writer.Write("tcp://127.0.0.1:0");
        writer.Write("core");
        writer.Write($"unix://{_core.Path}");
        writer.Write("token");
        writer.Write(Token);
        writer.Flush();
        return buffer.WrittenMemory;
    }

    private ClientReply Get()
    {
        using SteppedCall call = _remote.Begin(new ClientRequest((ushort)MessageType.Get, _header.Segment, [], Patience));
        return call.Finish();
    }
}

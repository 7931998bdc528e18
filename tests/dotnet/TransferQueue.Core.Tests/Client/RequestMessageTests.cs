using TransferQueue.Client;
using TransferQueue.Memory;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Client;

/// <summary>What a request looks like on the wire, read back with the transport's reader.</summary>
public sealed unsafe class RequestMessageTests : IDisposable
{
    private readonly NativeBufferPool _pool = new();
    private readonly UnixChannel _sender;
    private readonly UnixChannel _receiver;
    private readonly List<NativeBuffer> _memory = [];

    public RequestMessageTests()
    {
        (int first, int second) = UnixSocket.CreatePair();
        _sender = new UnixChannel(first, _pool, TransportLimits.Default);
        _receiver = new UnixChannel(second, _pool, TransportLimits.Default);
    }

    public void Dispose()
    {
        _sender.Dispose();
        _receiver.Dispose();
        _memory.ForEach(buffer => buffer.Dispose());
        _pool.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void FramesOfSeveralSegmentsArriveAsOneEach(bool copied)
    {
        var request = new ClientRequest(10, Fill(3, 0x81), [Segment(5, 1, 0), Segment(0, 0, 0), Segment(7, 2, 0), Segment(0, 0, 1), Segment(9, 3, 2)], TimeSpan.Zero);
        var message = new RequestMessage();
        if (copied)
            message.Copy(request);
        else
            message.Use(request);
        message.Rewind(42, 40, TimeSpan.FromMilliseconds(1500));
        using IncomingMessage arrived = Pass(message);
        Assert.Equal((42UL, 40UL, 1500u), (arrived.Prelude.RequestId, arrived.Prelude.Acknowledged, arrived.Prelude.TimeoutMilliseconds));
        Assert.Equal([0x81, 0x81, 0x81], arrived.HeaderBytes.ToArray());
        Assert.Equal(
            [[1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2], [], [3, 3, 3, 3, 3, 3, 3, 3, 3]],
            arrived.Frames.Select(frame => frame!.Span.ToArray()).ToArray());
        Assert.True(message.IsSent);
        message.Clear();
    }

    [Fact]
    public void ACopiedRequestNoLongerNeedsTheCallersMemory()
    {
        FrameSegment segment = Segment(1000, 5, 0);
        var message = new RequestMessage();
        message.Copy(new ClientRequest(10, Fill(1, 0x80), [segment], TimeSpan.Zero));
        new Span<byte>(segment.Bytes.Pointer, 1000).Clear();
        message.Rewind(1, 1, TimeSpan.Zero);
        using IncomingMessage arrived = Pass(message);
        Assert.All(arrived.Frames[0]!.Span.ToArray(), value => Assert.Equal(5, value));
        message.Clear();
    }

    [Fact]
    public void ARepeatIsTheSameMessageFromTheStart()
    {
        var message = new RequestMessage();
        message.Use(new ClientRequest(11, Fill(20, 0x80), [Segment(300, 8, 0)], TimeSpan.Zero));
        message.Rewind(9, 9, TimeSpan.Zero);
        using (IncomingMessage first = Pass(message))
            Assert.Equal(9UL, first.Prelude.RequestId);
        message.Rewind(9, 9, TimeSpan.FromSeconds(1));
        Assert.False(message.HasStarted);
        using IncomingMessage again = Pass(message);
        Assert.Equal((9UL, 300L), (again.Prelude.RequestId, again.Frames[0]!.Length));
        message.Clear();
    }

    [Fact]
    public void FramesOutOfOrderAreRefused() =>
        Assert.Throws<InvalidArgumentException>(() => new ClientRequest(10, Fill(1, 0x80), [Segment(1, 1, 0), Segment(1, 1, 2)], TimeSpan.Zero));

    private IncomingMessage Pass(RequestMessage message)
    {
        Assert.True(_sender.TrySend(message.Outgoing, 10_000));
        var arrived = new IncomingMessage();
        Assert.True(_receiver.TryReceive(arrived, 10_000));
        return arrived;
    }

    private FrameSegment Segment(int bytes, byte value, int frame) => new(bytes == 0 ? default : Fill(bytes, value), frame);

    private NativeSegment Fill(int bytes, byte value)
    {
        NativeBuffer buffer = _pool.Rent(bytes);
        _memory.Add(buffer);
        buffer.Span.Fill(value);
        return buffer.Segment;
    }
}

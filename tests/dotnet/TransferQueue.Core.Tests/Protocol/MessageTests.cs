using TransferQueue.Protocol;
using Xunit;

namespace TransferQueue.Tests.Protocol;

public sealed class MessageTests
{
    [Fact]
    public void EveryRequestIsReadAsItWasWritten()
    {
        foreach (var (request, frames) in SampleMessages.Requests)
        {
            var again = Request.Read(1, (ushort)request.Type, request.ToHeader(), frames, ProtocolLimits.Default);
            Assert.Equal(Described.Of(request), Described.Of(again));
        }
    }

    [Fact]
    public void EveryReplyIsReadAsItWasWritten()
    {
        foreach (var (reply, read) in SampleMessages.Replies)
            Assert.Equal(Described.Of(reply), Described.Of(read(reply.ToHeader())));
    }

    [Fact]
    public void TheSamplesHaveEveryType()
    {
        var requests = Enum.GetValues<MessageType>().Where(type => type < MessageType.Ok);
        Assert.Equal(requests, SampleMessages.Requests.Select(sample => sample.Request.Type).Distinct().Order());
        var types = typeof(Reply).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(Reply)));
        Assert.Equal(types.ToHashSet(), SampleMessages.Replies.Select(sample => sample.Reply.GetType()).ToHashSet());
    }

    [Fact]
    public void AnotherVersionIsRefusedNamingBoth()
    {
        var error = Assert.Throws<ProtocolVersionException>(() => Request.Read(7, 2, PlainRequest.Ping.ToHeader(), [], ProtocolLimits.Default));
        Assert.Contains("version 7", error.Message);
        Assert.Contains("version 1", error.Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    [InlineData(100)]
    [InlineData(101)]
    [InlineData(65535)]
    public void AnUnknownTypeIsRefusedNamingBothVersions(int type)
    {
        var error = Assert.Throws<ProtocolVersionException>(() => Request.Read(1, (ushort)type, new byte[] { 0x80 }, [], ProtocolLimits.Default));
        Assert.Contains($"type {type} in protocol version 1; this side speaks version 1", error.Message);
    }

    [Fact]
    public void OnlyAPutHasFrames() =>
        Assert.Throws<ProtocolException>(() => Request.Read(1, 2, PlainRequest.Ping.ToHeader(), [8], ProtocolLimits.Default));

    [Theory]
    [InlineData(0)]
    [InlineData(65535)]
    [InlineData(-1)]
    public void RoomForAFrameThatMayNotBePlacedIsNotReserved(long bytes)
    {
        var header = new ReserveRequest([1 << 20, bytes]).ToHeader();
        var error = Assert.Throws<ProtocolException>(() => Request.Read(1, (ushort)MessageType.Reserve, header, [], ProtocolLimits.Default));
        Assert.Contains($"a frame of {bytes} bytes", error.Message);
    }

    [Fact]
    public void AReservationNamesAFrame() =>
        Assert.Throws<ProtocolException>(
            () => Request.Read(1, (ushort)MessageType.Reserve, new ReserveRequest([]).ToHeader(), [], ProtocolLimits.Default));

    [Fact]
    public void OnlyOnePieceWithOffsetsComesInTwoFrames()
    {
        var jagged = SampleMessages.ReplyColumns[0];
        var cut = new GetReply(1, [jagged with { Pieces = jagged.Pieces[..1], Frames = 2 }]).ToHeader();
        Assert.Throws<ProtocolException>(() => GetReply.Read(cut, [80]));
        Assert.Throws<ProtocolException>(() => GetReply.Read(cut, [72, 8]));
        Assert.Throws<ProtocolException>(() => GetReply.Read(cut, [64, 8]));
        var dense = new GetReply(2, [jagged with { Pieces = jagged.Pieces[1..], Frames = 2 }]).ToHeader();
        Assert.Throws<ProtocolException>(() => GetReply.Read(dense, [0, 40]));
        Assert.Throws<ProtocolException>(() => GetReply.Read(new GetReply(3, [jagged with { Frames = 2 }]).ToHeader(), [64, 104]));
    }

    [Fact]
    public void AnErrorReplyBecomesItsLeafAgain()
    {
        foreach (var kind in Enum.GetValues<ErrorKind>())
        {
            var error = new ErrorReply(kind, "m").ToException();
            Assert.Equal((kind, "m"), (error.Kind, error.Message));
            bool hasLeaf = kind is not (ErrorKind.TransferQueue or ErrorKind.ForkedProcess or ErrorKind.RuntimeNotFound);
            Assert.Equal(hasLeaf ? kind + "Exception" : nameof(TransferQueueException), error.GetType().Name);
            Assert.Equal(kind, ErrorReply.Of(error).Kind);
        }
        Assert.Equal(ErrorKind.TransferQueue, ErrorReply.Of(new InvalidOperationException("x")).Kind);
    }
}

using TransferQueue.Columns;
using TransferQueue.Protocol;
using Xunit;

namespace TransferQueue.Tests.Protocol;

public sealed class LimitTests
{
    [Fact]
    public void EachSizeOfAPreludeHasItsLimit()
    {
        var limits = new ProtocolLimits { HeaderBytes = 10, Frames = 2, FrameBytes = 100, PayloadBytes = 150 };
        limits.CheckSizes(10, [50, 100]);
        Assert.Throws<LimitExceededException>(() => limits.CheckSizes(11, []));
        Assert.Throws<LimitExceededException>(() => limits.CheckSizes(1, [1, 1, 1]));
        Assert.Throws<LimitExceededException>(() => limits.CheckSizes(1, [101]));
        Assert.Throws<LimitExceededException>(() => limits.CheckSizes(1, [75, 76]));
        Assert.Throws<LimitExceededException>(() => (limits with { FrameBytes = long.MaxValue }).CheckSizes(1, [long.MaxValue, long.MaxValue]));
    }

    [Fact]
    public void AHeaderOverItsLimitIsNotEvenLookedAt()
    {
        byte[] garbage = Enumerable.Repeat((byte)0xC1, 100).ToArray();
        Assert.Throws<LimitExceededException>(() => Request.Read(1, 2, garbage, [], new ProtocolLimits { HeaderBytes = 99 }));
    }

    [Fact]
    public void NamesHaveALimit() =>
        AssertLimit(new ClearPartitionRequest("12345"), new ProtocolLimits { NameBytes = 5 }, new ProtocolLimits { NameBytes = 4 });

    [Fact]
    public void KeysHaveALimit() =>
        AssertLimit(new ClearKeysRequest("p", ["1", "éé"]), new ProtocolLimits { KeyBytes = 4 }, new ProtocolLimits { KeyBytes = 3 });

    [Fact]
    public void RowsHaveALimit()
    {
        AssertLimit(new ClearKeysRequest("p", ["1", "2", "3"]), new ProtocolLimits { Rows = 3 }, new ProtocolLimits { Rows = 2 });
        AssertLimit(new PartitionRowsRequest(MessageType.RetrieveKeys, "p", [1, 2, 3]), new ProtocolLimits { Rows = 3 }, new ProtocolLimits { Rows = 2 });
        AssertLimit(new PutRequest(9, "p", default, null, null, [], PutWant.None), new ProtocolLimits { Rows = 9 }, new ProtocolLimits { Rows = 8 });
    }

    [Fact]
    public void DimensionsHaveALimit()
    {
        var column = new ColumnDescriptor("x", new ColumnLayout(ColumnKind.Dense, DType.Int8, [1, 1, 1]));
        var put = new PutRequest(1, "p", default, null, null, [column], PutWant.None);
        AssertLimit(put, new ProtocolLimits { Dimensions = 3 }, new ProtocolLimits { Dimensions = 2 }, 1);
    }

    [Fact]
    public void FieldsHaveALimit() =>
        AssertLimit(new ProductionStatusRequest("p", ["a", "b"]), new ProtocolLimits { Frames = 2 }, new ProtocolLimits { Frames = 1 });

    private static void AssertLimit(Request request, ProtocolLimits enough, ProtocolLimits tooFew, params long[] frames)
    {
        Request.Read(1, (ushort)request.Type, request.ToHeader(), frames, enough);
        Assert.Throws<LimitExceededException>(() => Request.Read(1, (ushort)request.Type, request.ToHeader(), frames, tooFew));
    }
}

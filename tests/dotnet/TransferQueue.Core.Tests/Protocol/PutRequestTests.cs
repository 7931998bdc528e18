using TransferQueue.Columns;
using TransferQueue.Protocol;
using Xunit;

namespace TransferQueue.Tests.Protocol;

public sealed class PutRequestTests
{
    private static readonly PutRequest ByKeys = new(3, "train", ["a", "b", "c"], null, null, SampleMessages.Columns, PutWant.None);

    [Fact]
    public void EachFrameMustHoldItsColumn()
    {
        for (int i = 0; i < SampleMessages.Frames.Length; i++)
        {
            foreach (long change in new long[] { -1, 1 })
            {
                var frames = SampleMessages.Frames.ToArray();
                frames[i] += change;
                // One more byte of text is still text: only its offsets, in the frame, tell that it is wrong.
                if (SampleMessages.Columns[i].Layout.Kind >= ColumnKind.Text && frames[i] >= 64)
                    Read(ByKeys, frames);
                else
                    Assert.Throws<ProtocolException>(() => Read(ByKeys, frames));
            }
        }
    }

    [Fact]
    public void AFrameShorterThanItsOffsetsIsRefused() =>
        Assert.All(SampleMessages.Columns.Where(column => column.Layout.HasOffsets), column =>
            Assert.Throws<ProtocolException>(() => Read(ByKeys with { Columns = [column] }, [column.Layout.ValuesStart(3) - 64])));

    [Fact]
    public void EachColumnIsOneFrame()
    {
        Assert.Throws<ProtocolException>(() => Read(ByKeys, SampleMessages.Frames[..^1]));
        Assert.Throws<ProtocolException>(() => Read(ByKeys, [.. SampleMessages.Frames, 0]));
    }

    [Fact]
    public void ASizeThatOverflowsIsRefused()
    {
        var column = new ColumnDescriptor("x", new ColumnLayout(ColumnKind.Dense, DType.Int64, [1L << 31, 1L << 31, 1L << 31]));
        Assert.Throws<ProtocolException>(() => Read(ByKeys with { Columns = [column] }, [0]));
        var rows = new ColumnDescriptor("x", new ColumnLayout(ColumnKind.Dense, DType.Int8, [long.MaxValue / 2]));
        Assert.Throws<ProtocolException>(() => Read(ByKeys with { Columns = [rows] }, [0]));
    }

    [Fact]
    public void AColumnOfZeroRowsIsOneOffsetOrNothing()
    {
        var none = new PutRequest(0, "train", default, null, null, SampleMessages.Columns, PutWant.None);
        Read(none, [0, 0, 64, 64, 64, 64]);
        Assert.Throws<ProtocolException>(() => Read(none, [0, 0, 64, 64, 64, 0]));
    }

    [Fact]
    public void AKindMustFitItsShapeAndDType()
    {
        ColumnLayout[] wrong =
        [
            new(ColumnKind.Dense, DType.Int8, [-1]), new(ColumnKind.Jagged, DType.Int8, [3]), new(ColumnKind.Jagged, DType.Int8, [-1, -1]),
            new(ColumnKind.Ragged, DType.Int8, [3]), new(ColumnKind.Text, DType.None, [1]), new(ColumnKind.Text, DType.Int8, []),
            new(ColumnKind.Dense, DType.None, []),
        ];
        Assert.All(wrong, layout => Assert.Throws<ProtocolException>(() => Read(ByKeys with { Columns = [new("x", layout)] }, [64])));
    }

    [Fact]
    public void AColumnComesOnce() => Assert.Throws<ProtocolException>(() =>
        Read(ByKeys with { Columns = [SampleMessages.Columns[0], SampleMessages.Columns[0]] }, [60, 60]));

    [Fact]
    public void RowsAreNamedInOneWayAndAsManyAsN()
    {
        var bare = new PutRequest(3, null, default, null, null, [], PutWant.None);
        PutRequest[] wrong =
        [
            bare,
            bare with { Keys = ["a", "b", "c"] },
            bare with { Partition = "p", Keys = ["a", "b"] },
            bare with { Partition = "p", Selection = SampleMessages.Selection },
            bare with { Keys = ["a", "b", "c"], Selection = SampleMessages.Selection },
            bare with { Rows = 2, Selection = SampleMessages.Selection },
            bare with { Selection = SampleMessages.Selection with { Parts = [new("p", 2)] } },
            bare with { Selection = SampleMessages.Selection with { Parts = [new("p", int.MaxValue / 128), new("p", 3)] } },
            bare with { Selection = SampleMessages.Selection with { Generations = [1, 2] } },
        ];
        Assert.All(wrong, put => Assert.Throws<ProtocolException>(() => Read(put, [])));
        Assert.NotNull(Read(bare with { Selection = SampleMessages.Selection }, []).Selection);
    }

    [Fact]
    public void TagsMustBeOnePerRow()
    {
        var two = PackedTags.Parse(new byte[] { 0x80, 0x80 }, 2);
        Assert.Throws<ProtocolException>(() => Read(ByKeys with { Tags = two, Columns = [] }, []));
    }

    private static PutRequest Read(PutRequest put, long[] frames) =>
        (PutRequest)Request.Read(1, (ushort)MessageType.Put, put.ToHeader(), frames, ProtocolLimits.Default);
}

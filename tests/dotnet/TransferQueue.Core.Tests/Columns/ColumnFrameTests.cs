using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;
using TransferQueue.Tests.Memory;
using Xunit;

namespace TransferQueue.Tests.Columns;

public sealed unsafe class ColumnFrameTests
{
    private static readonly ColumnDescriptor Jagged = new("x", new ColumnLayout(ColumnKind.Jagged, DType.Int16, [-1, 2]));
    private static readonly ColumnDescriptor Ragged = new("x", new ColumnLayout(ColumnKind.Ragged, DType.Int16, [-1, 3, -1]));
    private static readonly ColumnDescriptor Text = new("x", new ColumnLayout(ColumnKind.Text, DType.None, []));

    [Fact]
    public void TakesAnyOffsetsThatNeverFallAndEndWithTheFrame() => Prop.ForAll(
        Gen.ArrayOf(Gen.Choose(0, 5)).ToArbitrary(),
        lengths =>
        {
            long[] offsets = [0, .. lengths.Select((_, i) => lengths.Take(i + 1).Sum(length => (long)length))];
            Validate(Jagged, offsets, [], offsets[^1] * 4);
            Validate(Text, offsets, [], offsets[^1]);
            Assert.Throws<ProtocolException>(() => Validate(Jagged, offsets, [], offsets[^1] * 4 + 4));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void RefusesAnyFallOfItsOffsetsByItsRow() => Prop.ForAll(
        (from rows in Gen.Choose(2, 70) from at in Gen.Choose(1, rows - 1) select (rows, at)).ToArbitrary(),
        given =>
        {
            var offsets = Enumerable.Range(0, given.rows + 1).Select(i => i * 10L).ToArray();
            offsets[given.at] = offsets[given.at - 1] - 1;
            // The row before the first, at offset 0, would fall to −1 already.
            int row = given.at - 1;
            var error = Assert.Throws<ProtocolException>(() => Validate(Text, offsets, [], offsets[^1]));
            Assert.EndsWith($"at row {row}", error.Message);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void RefusesOffsetsThatDontBeginAtZeroOrOverflow()
    {
        Assert.Throws<ProtocolException>(() => Validate(Text, [1, 2], [], 2));
        Assert.Throws<ProtocolException>(() => Validate(Text, [-1, 2], [], 2));
        Assert.Throws<ProtocolException>(() => Validate(Jagged, [0, 1L << 62], [], 0));
        Assert.Throws<ProtocolException>(() => Validate(Jagged, [0, long.MinValue], [], 0));
    }

    [Theory]
    [InlineData(2, 3, 2, 12, true)]
    [InlineData(0, 3, 9, 0, true)]
    [InlineData(2, 3, -1, 6, true)]
    [InlineData(2, -1, -1, 2, true)]
    [InlineData(-1, -1, -1, 1, true)]
    [InlineData(2, 3, 2, 11, false)]
    [InlineData(2, 4, 2, 16, false)]
    [InlineData(2, -1, 2, 4, false)]
    [InlineData(-2, 3, -1, 6, false)]
    [InlineData(int.MaxValue, 3, int.MaxValue, 12, false)]
    public void AShapeMustFitTheLayoutAndTheOffsets(int first, int second, int third, long elements, bool fits)
    {
        void Check() => Validate(Ragged, [0, elements], [first, second, third], elements * 2);
        if (fits)
            Check();
        else
            Assert.Throws<ProtocolException>(Check);
    }

    [Fact]
    public void AHugeColumnIsCheckedInPlace()
    {
        const int Rows = 1 << 20;
        var offsets = Enumerable.Range(0, Rows + 1).Select(i => (long)i).ToArray();
        long allocated = ThreadAllocations.By(() =>
        {
            fixed (long* frame = offsets)
            {
                // The values are not read, so they need not be there.
                ColumnFrame.Validate(Text, (byte*)frame, Text.Layout.ValuesStart(Rows) + Rows, Rows);
            }
        });
        Assert.InRange(allocated, 0, 4096);
    }

    private static void Validate(ColumnDescriptor column, long[] offsets, int[] shapes, long values)
    {
        int rows = offsets.Length - 1;
        long start = column.Layout.ValuesStart(rows);
        void* frame = NativeMemory.AlignedAlloc((nuint)start, ColumnLayout.Alignment);
        try
        {
            offsets.CopyTo(new Span<long>(frame, offsets.Length));
            shapes.CopyTo(new Span<int>((byte*)frame + offsets.Length * sizeof(long), shapes.Length));
            ColumnFrame.Validate(column, (byte*)frame, start + values, rows);
        }
        finally
        {
            NativeMemory.AlignedFree(frame);
        }
    }
}

using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Memory;
using Xunit;

namespace TransferQueue.Tests.Memory;

public sealed unsafe class CopyKernelsTests
{
    private const byte Untouched = 0xEE;

    [Fact]
    public void EveryAlignmentAndLengthCopiesExactlyItsBytes()
    {
        byte[] source = RandomBytes(20_000);
        byte[] target = new byte[20_000];
        int[] lengths = [0, 1, 31, 32, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 4160, 4223, 4224, 4225, 9001, 16384];
        foreach (bool streaming in (bool[])[false, true])
            foreach (int length in lengths)
                for (int shift = 0; shift < 64; shift++)
                    CheckCopy(source, target, shift * 7 % 64, shift, length, streaming);
    }

    private static void CheckCopy(byte[] source, byte[] target, int from, int to, int length, bool streaming)
    {
        Array.Fill(target, Untouched);
        fixed (byte* s = source, t = target)
            CopyKernels.Copy(s + from, t + to, length, streaming);
        Assert.True(target.AsSpan(to, length).SequenceEqual(source.AsSpan(from, length)));
        Assert.Equal(-1, target.AsSpan(0, to).IndexOfAnyExcept(Untouched));
        Assert.Equal(-1, target.AsSpan(to + length).IndexOfAnyExcept(Untouched));
    }

    [Fact]
    public void AWholeOverTheThresholdIsStreamedRight()
    {
        byte[] source = RandomBytes((int)CopyKernels.StreamingBytes + 1001);
        byte[] target = new byte[source.Length];
        fixed (byte* s = source, t = target)
            CopyKernels.Copy(s, t, source.Length);
        Assert.True(source.AsSpan().SequenceEqual(target));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(24)]
    [InlineData(5000)]
    public void RowsAreGatheredInTheOrderAsked(int rowBytes)
    {
        const int Rows = 300;
        byte[] source = RandomBytes(Rows * rowBytes);
        Prop.ForAll(Gen.ArrayOf(Gen.Choose(0, Rows - 1)).ToArbitrary(), chosen =>
        {
            int[] runs = [.. chosen.SelectMany(row => Enumerable.Range(row, Math.Min(3, Rows - row)))]; // neighbours too
            byte[] target = new byte[runs.Length * rowBytes + 1];
            target[^1] = Untouched;
            fixed (byte* s = source, t = target)
                CopyKernels.GatherRows(s, runs, rowBytes, t);
            for (int i = 0; i < runs.Length; i++)
                Assert.True(target.AsSpan(i * rowBytes, rowBytes).SequenceEqual(source.AsSpan(runs[i] * rowBytes, rowBytes)));
            Assert.Equal(Untouched, target[^1]);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void SegmentsAreGatheredSideBySide()
    {
        byte[] source = RandomBytes(50_000);
        byte[] target = new byte[50_000];
        fixed (byte* s = source, t = target)
        {
            NativeSegment[] segments = [new((nint)s + 100, 10), new((nint)s, 0), new((nint)s + 7000, 9999), new((nint)s + 1, 1)];
            Assert.Equal(10_010, CopyKernels.GatherSegments(segments, t, streaming: true));
        }
        Assert.Equal([.. source[100..110], .. source[7000..16_999], source[1]], target[..10_010]);
    }

    private static byte[] RandomBytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }
}

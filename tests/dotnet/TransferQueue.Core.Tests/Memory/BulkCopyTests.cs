using TransferQueue.Memory;
using Xunit;

namespace TransferQueue.Tests.Memory;

public sealed unsafe class BulkCopyTests : IDisposable
{
    private readonly NativeBufferPool _pool = new(0);
    private readonly Random _random = new(7);

    public void Dispose() => _pool.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(200)]
    [InlineData(CopyKernels.StreamingBytes + 77)]
    [InlineData(BulkCopy.TwoThreadBytes + 12345)]
    [InlineData(3 * BulkCopy.TwoThreadBytes)]
    public void PiecesOfAnyLengthArriveEachAtItsPlace(long bytes)
    {
        using NativeBuffer source = Random(bytes), target = _pool.Rent(2 * bytes + 1);
        target.Span.Fill(0xEE);
        var copy = new BulkCopy();
        var pieces = new List<(long At, long To, long Length)>();
        long at = 0, to = 0;
        while (at < bytes)
        {
            long length = Math.Min(bytes - at, _random.Next(10) == 0 ? _random.Next(5_000_000) : _random.Next(3000));
            pieces.Add((at, to, length));
            copy.Add(source.Segment.Skip(at).Take(length), target.Address + to);
            at += length;
            to += length + Math.Min(bytes - at, _random.Next(3));
        }
        Assert.Equal(bytes, copy.Bytes);
        Assert.True(copy.Run());
        long untouched = 0;
        foreach ((long from, long there, long length) in pieces)
        {
            Assert.Equal(-1, target.Span[(int)untouched..(int)there].IndexOfAnyExcept((byte)0xEE));
            Assert.True(source.Span.Slice((int)from, (int)length).SequenceEqual(target.Span.Slice((int)there, (int)length)));
            untouched = there + length;
        }
        Assert.Equal(-1, target.Span[(int)untouched..].IndexOfAnyExcept((byte)0xEE));
    }

    [Fact]
    public void ACopyInSlicesCopiesEveryByteOnce()
    {
        const long Bytes = 20 << 20;
        using NativeBuffer source = Random(Bytes), target = _pool.Rent(Bytes);
        var copy = new BulkCopy();
        copy.Add(source.Segment, target.Address);
        int runs = 1;
        for (; !copy.Run(9 << 20); runs++)
            target.Span[..1000].Fill(5); // what is copied already isn't copied again
        Assert.Equal(3, runs);
        Assert.Equal(-1, target.Span[..1000].IndexOfAnyExcept((byte)5));
        Assert.True(source.Span[1000..].SequenceEqual(target.Span[1000..]));
    }

    [Fact]
    public void ManyCopiesAtOnceShareTheOneHelper()
    {
        const long Bytes = BulkCopy.TwoThreadBytes + 4711;
        using NativeBuffer source = Random(Bytes);
        Parallel.For(0, 4, _ =>
        {
            using NativeBuffer target = _pool.Rent(Bytes);
            for (int round = 0; round < 25; round++)
            {
                target.Span.Clear();
                var copy = new BulkCopy();
                copy.Add(source.Segment, target.Address);
                Assert.True(copy.Run());
                Assert.True(source.Span.SequenceEqual(target.Span));
            }
        });
    }

    [Fact]
    public void NothingIsDoneAtOnce()
    {
        var copy = new BulkCopy();
        copy.Add(default, (byte*)null);
        Assert.True(copy.Run());
    }

    private NativeBuffer Random(long bytes)
    {
        NativeBuffer buffer = _pool.Rent(bytes);
        _random.NextBytes(buffer.Span);
        return buffer;
    }
}

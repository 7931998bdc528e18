using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Memory;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Transport;

public sealed class RecycledBufferPoolTests
{
    [Fact]
    public void AnArrayIsLongEnoughAndComesBack() => Prop.ForAll(Gen.Choose(0, 3_000_000).ToArbitrary(), size =>
    {
        var pool = new RecycledBufferPool(100 << 20);
        byte[] array = pool.Take(size);
        Assert.InRange(array.Length, size, Math.Max(256, size * 5L / 4 + 64));
        pool.Return(array);
        Assert.Equal(array.Length, pool.KeptBytes);
        Assert.Same(array, pool.Take(size));
        Assert.Equal(0, pool.KeptBytes);
        Assert.Equal(1, pool.CreatedCount);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void KeptBytesAreBoundedInFavourOfWhatComesBackNow()
    {
        var pool = new RecycledBufferPool(3 << 20);
        byte[][] old = [pool.Take(1 << 20), pool.Take(1 << 20), pool.Take(1 << 20)];
        byte[] recent = pool.Take(2 << 20);
        foreach (byte[] array in old)
            pool.Return(array);
        pool.Return(recent);
        Assert.Equal(3 << 20, pool.KeptBytes);
        Assert.Same(recent, pool.Take(2 << 20));
    }

    [Fact]
    public void AForeignArrayIsLeftToTheCollector()
    {
        var pool = new RecycledBufferPool(1 << 20);
        pool.Return(new byte[1000]);
        Assert.Equal(0, pool.KeptBytes);
    }

    [Fact]
    public void MessagesOfNetMQLieInArraysThatNeverMove()
    {
        using var message = new MultipartMessage();
        message.AddFrame(100_000);
        nint before = message.Segment(0).Address;
        GC.Collect(2, GCCollectionMode.Aggressive, true, true);
        Assert.Equal(before, message.Segment(0).Address);
    }

    [Fact]
    public void AFrameThatNoArrayHoldsIsOverALimit()
    {
        using var message = new MultipartMessage();
        Assert.Throws<LimitExceededException>(() => message.AddFrame(3L << 30));
        var outgoing = new OutgoingMessage();
        outgoing.AddFrame(new NativeSegment(1, 3L << 30));
        outgoing.Seal(Prelude.Create(1, 1));
        Assert.Throws<LimitExceededException>(() => MultipartMessage.CopyOf(outgoing));
    }
}

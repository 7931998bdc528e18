using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Memory;
using Xunit;

namespace TransferQueue.Tests.Memory;

public sealed unsafe class NativeBufferPoolTests
{
    [Fact]
    public void ABufferIsAlignedAndLargeEnoughButNotTwiceTheSize()
    {
        using var pool = new NativeBufferPool();
        Prop.ForAll(Gen.Choose(0, 5_000_000).ToArbitrary(), bytes =>
        {
            using NativeBuffer buffer = pool.Rent(bytes);
            Assert.Equal(0, (nint)buffer.Address % 64);
            Assert.Equal(bytes, buffer.Length);
            Assert.InRange(buffer.CapacityBytes, bytes, Math.Max(NativeBufferPool.SmallestBytes, 2L * bytes));
            if (bytes > 0)
                buffer.Address[0] = buffer.Address[bytes - 1] = 1;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void EverySizeNearAClassBorderFits()
    {
        using var pool = new NativeBufferPool(0);
        for (int power = 6; power < 24; power++)
            for (int quarter = 4; quarter < 8; quarter++)
                for (int off = -1; off <= 1; off++)
                {
                    long bytes = ((1L << power) * quarter / 4) + off;
                    using NativeBuffer buffer = pool.Rent(bytes);
                    Assert.InRange(buffer.CapacityBytes, bytes, Math.Max(NativeBufferPool.SmallestBytes, bytes * 5 / 4 + 64));
                }
    }

    [Fact]
    public void TheNewestBufferOfASizeComesBackFirst()
    {
        using var pool = new NativeBufferPool();
        NativeBuffer[] buffers = [pool.Rent(10_000), pool.Rent(10_000), pool.Rent(10_000)];
        nint[] addresses = [.. buffers.Select(b => (nint)b.Address)];
        foreach (int i in (int[])[1, 0, 2])
            buffers[i].Dispose();
        Assert.Equal([addresses[2], addresses[0], addresses[1]], Enumerable.Range(0, 3).Select(_ => (nint)pool.Rent(10_000).Address));
        Assert.Equal(3, pool.CreatedCount);
    }

    [Fact]
    public void KeptBytesAreBoundedAndTheLongestUnusedGoFirst()
    {
        using var pool = new NativeBufferPool(mostKeptBytes: 3 << 20);
        NativeBuffer small = pool.Rent(1000);
        NativeBuffer[] large = [pool.Rent(1 << 20), pool.Rent(1 << 20), pool.Rent(1 << 20)];
        nint last = (nint)large[2].Address;
        small.Dispose();
        foreach (NativeBuffer buffer in large)
            buffer.Dispose();
        Assert.Equal(3 << 20, pool.KeptBytes); // the small one was the oldest
        Assert.Equal(last, (nint)pool.Rent(1 << 20).Address);
        pool.Rent(1000);
        Assert.Equal(5, pool.CreatedCount);
    }

    [Fact]
    public void ABufferLargerThanTheBoundIsNotKept()
    {
        using var pool = new NativeBufferPool(1 << 20);
        pool.Rent(5 << 20).Dispose();
        Assert.Equal(0, pool.KeptBytes);
        Assert.Equal(0, pool.OutBytes);
    }

    [Fact]
    public void ComingBackTwiceIsAFault()
    {
        using var pool = new NativeBufferPool();
        NativeBuffer buffer = pool.Rent(1);
        buffer.Dispose();
        Assert.Throws<TransferQueueException>(buffer.Dispose);
    }

    [Fact]
    public void BuffersOnLoanOutliveThePool()
    {
        var pool = new NativeBufferPool();
        NativeBuffer buffer = pool.Rent(100_000);
        pool.Dispose();
        buffer.Span.Fill(1);
        buffer.Dispose();
        Assert.Equal(0, pool.KeptBytes);
        Assert.Throws<ObjectDisposedException>(() => pool.Rent(1));
    }

    [Fact]
    public void ManyThreadsNeverShareABuffer()
    {
        using var pool = new NativeBufferPool();
        Parallel.For(0, 4, new ParallelOptions { MaxDegreeOfParallelism = 4 }, worker =>
        {
            var random = new Random(worker);
            for (int i = 0; i < 3000; i++)
            {
                using NativeBuffer buffer = pool.Rent(random.Next(64, 4096));
                buffer.Span.Fill((byte)worker);
                Thread.Yield();
                Assert.Equal(-1, buffer.Span.IndexOfAnyExcept((byte)worker));
            }
        });
        Assert.Equal(0, pool.OutCount);
        Assert.InRange(pool.CreatedCount, 1, 200);
    }

    [Fact]
    public void ASteadyStateAllocatesNothing()
    {
        using var pool = new NativeBufferPool();
        pool.Rent(50_000).Dispose();
        long allocated = ThreadAllocations.By(() =>
        {
            for (int i = 0; i < 1000; i++)
                pool.Rent(50_000).Dispose();
        });
        Assert.Equal(0, allocated);
        Assert.Equal(1, pool.CreatedCount);
    }
}

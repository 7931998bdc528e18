using TransferQueue.Control;
using Xunit;

namespace TransferQueue.Tests.Control;

public sealed class GlobalIndexPoolTests
{
    [Fact]
    public void ReleasedIndexesComeFirstThenNewOnes()
    {
        GlobalIndexPool pool = new();
        long[] first = Take(pool, 32);
        long[] second = Take(pool, 16);
        Assert.Equal(Range(0, 32), first);
        Assert.Equal(Range(32, 16), second);
        pool.Release(first);
        Assert.Equal([.. Range(0, 32), .. Range(48, 32)], Take(pool, 64));
    }

    [Fact]
    public void IndexesComeBackInTheOrderOfTheirReleaseEachReleaseAscending()
    {
        GlobalIndexPool pool = new();
        Take(pool, 10);
        pool.Release([7, 3, 5]);
        pool.Release([1, 0]);
        Assert.Equal(5, pool.FreeCount);
        Assert.Equal([3L, 5], Take(pool, 2));
        Assert.Equal([7L, 0, 1, 10], Take(pool, 4));
        Assert.Equal(0, pool.FreeCount);
    }

    [Fact]
    public void AReleaseChangesTheGenerationOfItsIndexesOnly()
    {
        GlobalIndexPool pool = new();
        Take(pool, 4);
        Assert.Equal([1u, 1, 1, 1], Range(0, 4).Select(pool.Generation));
        pool.Release([1, 2]);
        Assert.Equal([1u, 2, 2, 1], Range(0, 4).Select(pool.Generation));
        Take(pool, 2);
        pool.Release([2]);
        Assert.Equal([1u, 2, 3, 1], Range(0, 4).Select(pool.Generation));
        Assert.Equal(0u, pool.Generation(4));
        Assert.Equal(0u, pool.Generation(-1));
    }

    [Fact]
    public void NoIndexIsGivenOutTwiceInALongLife()
    {
        GlobalIndexPool pool = new();
        Random random = new(7);
        HashSet<long> held = [];
        for (int step = 0; step < 2000; step++)
        {
            foreach (long index in Take(pool, random.Next(8)))
                Assert.True(held.Add(index));
            long[] back = [.. held.Where(_ => random.Next(3) == 0)];
            held.ExceptWith(back);
            pool.Release(back);
            Assert.Equal(pool.Next, held.Count + pool.FreeCount);
            Assert.Equal(pool.FreeCount, pool.FreeRuns.Sum(run => run.Count));
        }
    }

    private static long[] Take(GlobalIndexPool pool, int count)
    {
        long[] indexes = new long[count];
        pool.Allocate(indexes);
        return indexes;
    }

    private static long[] Range(long start, int count) => [.. Enumerable.Range((int)start, count).Select(i => (long)i)];
}

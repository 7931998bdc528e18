using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Client;
using Xunit;

namespace TransferQueue.Tests.Client;

public sealed class RequestIdsTests
{
    [Fact]
    public void IdsBeginAtOneAndGrow()
    {
        var ids = new RequestIds();
        Assert.Equal([1UL, 2UL, 3UL], [ids.Begin(), ids.Begin(), ids.Begin()]);
    }

    [Fact]
    public void NothingOutstandingAcknowledgesAllIdsGivenSoFar()
    {
        var ids = new RequestIds();
        Assert.Equal(1UL, ids.GetAcknowledged());
        ids.End(ids.Begin());
        ids.End(ids.Begin());
        Assert.Equal(3UL, ids.GetAcknowledged());
    }

    [Fact]
    public void AnOldRequestHoldsTheAcknowledgementWhileThousandsCome()
    {
        var ids = new RequestIds();
        ulong old = ids.Begin();
        for (int i = 0; i < 10_000; i++)
            ids.End(ids.Begin());
        Assert.Equal(old, ids.GetAcknowledged());
        ids.End(old);
        Assert.Equal(10_002UL, ids.GetAcknowledged());
    }

    [Fact]
    public void AcknowledgedIsTheSmallestOutstandingIdAfterAnySequence()
    {
        // A number picks what happens: below 0 a request begins, else that outstanding one (modulo their count) ends.
        var property = Prop.ForAll<int[]>(steps =>
        {
            var ids = new RequestIds();
            var outstanding = new SortedSet<ulong>();
            ulong next = 1;
            foreach (int step in steps)
            {
                if (step < 0 || outstanding.Count == 0)
                {
                    outstanding.Add(ids.Begin());
                    next++;
                }
                else
                {
                    ulong ended = outstanding.ElementAt(step % outstanding.Count);
                    outstanding.Remove(ended);
                    ids.End(ended);
                }
                if (ids.GetAcknowledged() != (outstanding.Count == 0 ? next : outstanding.Min))
                    return false;
            }
            return true;
        });
        property.Check(Config.QuickThrowOnFailure.WithMaxTest(500).WithEndSize(300));
    }

    [Fact]
    public void ThreadsNeverGetTheSameId()
    {
        var ids = new RequestIds();
        var all = new System.Collections.Concurrent.ConcurrentBag<ulong>();
        Parallel.For(0, 8, _ =>
        {
            for (int i = 0; i < 2_000; i++)
            {
                ulong id = ids.Begin();
                all.Add(id);
                if (ids.GetAcknowledged() > id)
                    throw new InvalidOperationException("acknowledged a request that has not ended");
                ids.End(id);
            }
        });
        Assert.Equal(16_000, all.Distinct().Count());
        Assert.Equal(16_001UL, ids.GetAcknowledged());
    }
}

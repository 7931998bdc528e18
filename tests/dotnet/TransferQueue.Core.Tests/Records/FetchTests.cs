using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class FetchTests : IDisposable
{
    private readonly Random _random = new(3);
    private readonly TestQueue _queue = new();

    public void Dispose() => _queue.Dispose();

    [Fact]
    public void EachTaskGetsEveryRowOnceInTheOrderOfTheIndexes()
    {
        Put("p", 0, 6, "x");
        foreach (string task in new[] { "a", "b" })
        {
            Assert.Equal([0L, 1, 2, 3], Fetch("p", task, 4, "x"));
            Assert.Null(Fetch("p", task, 4, "x"));
            Assert.Equal([4L, 5], Fetch("p", task, 2, "x"));
            Assert.Null(Fetch("p", task, 1, "x"));
        }
    }

    [Fact]
    public void ARowIsReadyWhenItHasAllFields()
    {
        Put("p", 0, 4, "x");
        _queue.PutKeys("p", ["k1", "k3"], Column("y", 2));
        Assert.Equal([1L, 3], Fetch("p", "t", 2, "y", "x"));
        Assert.Equal([0L, 2], Fetch("p", "t", 2, "x"));
    }

    [Fact]
    public void AFieldThatNobodyPutMakesNothingReady()
    {
        Put("p", 0, 4, "x");
        Assert.Null(Fetch("p", "t", 1, "x", "unknown"));
        Assert.Null(Fetch("nowhere", "t", 1, "x"));
    }

    [Fact]
    public void IndexesThatCameBackAreHandedOutInAscendingOrderToo()
    {
        Put("p", 0, 8, "x");
        _queue.State.Apply(new ClearKeysRecord("p", ["k6", "k1", "k2"]));
        _queue.State.Insert("other", 1, []);
        _queue.State.Insert("p", 2, []);
        _queue.PutKeys("p", ["n0", "n1"], Column("x", 2));
        _queue.Put(TestQueue.ByRows(_queue.Select("p", 2, 6)), Column("x", 2));
        Assert.Equal([0L, 2, 3], Fetch("p", "t", 3, "x"));
        Assert.Equal([4L, 5, 6, 7, 8, 9], Fetch("p", "t", 6, "x"));
    }

    [Fact]
    public void TheBatchSaysWhoTheRowsAreAndWhatTheyHave()
    {
        _queue.Put(TestQueue.ByKeys("p", ["a", "b"], "{\"s\":1}", "{}"), Column("y", 2), TestColumn.Text("x", "1", "2"));
        Assert.True(_queue.State.TryFetch(new FetchQuery("p", "t", ["y", "x", "y"], 2), out BatchMeta? meta));
        Assert.True(meta.IsReady);
        Assert.Equal([new PartitionRun("p", 2)], meta.Partitions);
        Assert.Equal([1u, 1u], meta.Generations);
        Assert.Equal(["x", "y"], meta.Fields.Select(field => field.Name));
        Assert.True(meta.Fields[0].IsNonTensor);
        Assert.Equal([3L], meta.Fields[1].Shape);
        Assert.Equal("{\"s\":1}", TestQueue.Json(meta.Tags![0]));
    }

    [Fact]
    public void ResettingATaskHandsTheRowsOutAgain()
    {
        Put("p", 0, 2, "x");
        Fetch("p", "a", 2, "x");
        Fetch("p", "b", 2, "x");
        Assert.True(_queue.State.Apply(new ResetConsumptionRecord("p", "a")));
        Assert.Equal([0L, 1], Fetch("p", "a", 2, "x"));
        Assert.Null(Fetch("p", "b", 1, "x"));
        Assert.True(_queue.State.Apply(new ResetConsumptionRecord("p", null)));
        Assert.Equal([0L, 1], Fetch("p", "b", 2, "x"));
        Assert.False(_queue.State.Apply(new ResetConsumptionRecord("nowhere", null)));
    }

    [Fact]
    public void AWaitingFetchIsServedByThePutThatCompletesIt()
    {
        Park("p", "t", 3, "first", 1000, "x", "y");
        Put("p", 0, 3, "x");
        Assert.Empty(Woken());
        _queue.PutKeys("p", ["k0", "k1"], Column("y", 2));
        Assert.Empty(Woken());
        _queue.PutKeys("p", ["k2"], Column("y", 1));
        WokenFetch woken = Assert.Single(Woken());
        Assert.Equal("first", woken.Waiter.Owner);
        Assert.Equal([0L, 1, 2], woken.Meta!.GlobalIndexes);
        Assert.Equal(0, _queue.State.WaiterCount);
        Assert.Null(Fetch("p", "t", 1, "x"));
    }

    [Fact]
    public void WaitingFetchesAreServedFirstComeFirst()
    {
        foreach (string owner in new[] { "one", "two", "three" })
            Park("p", "t", 2, owner, 1000, "x");
        Put("p", 0, 5, "x");
        Assert.Equal([("one", 0L), ("two", 2L)], Woken().Select(woken => ((string)woken.Waiter.Owner!, woken.Meta!.GlobalIndexes[0])));
        Put("p", 5, 1, "x");
        Assert.Equal(["three"], Woken().Select(woken => woken.Waiter.Owner));
    }

    [Fact]
    public void ASmallWishIsNotHeldUpByAnEarlierLargeOne()
    {
        Park("p", "t", 64, "large", 1000, "x");
        Park("p", "t", 2, "small", 1000, "x");
        Put("p", 0, 2, "x");
        Assert.Equal(["small"], Woken().Select(woken => woken.Waiter.Owner));
    }

    [Fact]
    public void WaitersOfOtherPartitionsAndTasksAreNotTouched()
    {
        Park("q", "t", 1, "elsewhere", 1000, "x");
        Park("p", "a", 1, "a", 1000, "x");
        Park("p", "b", 1, "b", 1000, "x");
        Put("p", 0, 1, "x");
        Assert.Equal(["a", "b"], Woken().Select(woken => woken.Waiter.Owner));
        Assert.Equal(1, _queue.State.WaiterCount);
    }

    [Fact]
    public void AResetServesAWaitingFetch()
    {
        Put("p", 0, 2, "x");
        Fetch("p", "t", 2, "x");
        Park("p", "t", 2, "again", 1000, "x");
        _queue.State.Apply(new ResetConsumptionRecord("p", "t"));
        Assert.Equal([0L, 1], Assert.Single(Woken()).Meta!.GlobalIndexes);
    }

    [Fact]
    public void AtItsDeadlineAFetchIsToldWhatWasMissing()
    {
        Put("train", 0, 64, "prompt");
        _queue.PutKeys("train", TestQueue.Keys("k", 12), Column("reward", 12));
        Park("train", "reward", 64, null, 500, "prompt", "reward");
        Park("train", "reward", 1, null, 700, "nothing");
        Assert.Equal(500, _queue.State.NextDeadline);
        _queue.State.Expire(499);
        Assert.Empty(Woken());
        _queue.State.Expire(600);
        Assert.Equal("partition 'train', task 'reward': 12 of 64 rows ready; missing: reward ×52", Assert.Single(Woken()).Error!.Message);
        Assert.Equal(700, _queue.State.NextDeadline);
        _queue.State.Expire(700);
        Assert.IsType<NotReadyException>(Assert.Single(Woken()).Error);
        Assert.Null(_queue.State.NextDeadline);
    }

    [Fact]
    public void AtItsDeadlineAFetchOfAPartitionThatNeverCameSaysSo()
    {
        Park("ghost", "t", 4, null, 10, "x");
        _queue.State.Expire(10);
        Assert.Equal("partition 'ghost', task 't': 0 of 4 rows ready; there is no such partition yet", Assert.Single(Woken()).Error!.Message);
    }

    [Fact]
    public void AFetchWhoseCallerHasGoneConsumesNothing()
    {
        Waiter waiter = Park("p", "t", 1, "gone", 1000, "x");
        Assert.True(_queue.State.Cancel(waiter));
        Assert.False(_queue.State.Cancel(waiter));
        Put("p", 0, 1, "x");
        Assert.Empty(Woken());
        Assert.Equal([0L], Fetch("p", "t", 1, "x"));
    }

    [Fact]
    public void AServedWaiterIsARecordLikeAnyOther()
    {
        Park("p", "t", 2, null, 1000, "x");
        Put("p", 0, 3, "x");
        Assert.Equal(StateDigest.Of(_queue.State), StateDigest.Of(_queue.Replay()));
        Assert.Contains("consumed:t", StateDigest.Of(_queue.State));
    }

    private void Put(string partition, int first, int count, string field) =>
        _queue.PutKeys(partition, TestQueue.Keys("k", count, first), Column(field, count));

    private TestColumn Column(string field, int rows) => TestColumn.Dense(_random, field, DType.Int16, rows, 3);

    private ImmutableArray<long>? Fetch(string partition, string task, int count, params ImmutableArray<string> fields) =>
        _queue.State.TryFetch(new FetchQuery(partition, task, fields, count), out BatchMeta? meta) ? meta.GlobalIndexes : null;

    private Waiter Park(string partition, string task, int count, string? owner, long deadline, params ImmutableArray<string> fields)
    {
        FetchQuery query = new(partition, task, fields, count);
        Assert.False(_queue.State.TryFetch(query, out _));
        return _queue.State.Park(query, deadline, owner);
    }

    private List<WokenFetch> Woken()
    {
        List<WokenFetch> woken = [];
        while (_queue.State.TryTakeWoken(out WokenFetch? next))
            woken.Add(next);
        return woken;
    }
}

using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using TransferQueue.Sampling;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>Fetches whose rows a sampler of another process picks: what it is asked, and what becomes of its answers.</summary>
public sealed class HostedSamplerTests : IDisposable
{
    private readonly Random _random = new(43);
    private readonly TestQueue _queue = new(sampler: new HostedSampler("Own"));

    public void Dispose() => _queue.Dispose();

    [Fact]
    public void AFetchGetsWhatWasPickedInItsOrderAndAReplayAsksNobody()
    {
        Put("p", 4);
        Waiter waiter = Park("p", 2);
        Assert.Equal([0L, 1, 2, 3], Ask());
        _queue.State.Answer([3, 1], [3]);
        Assert.Equal([3L, 1], Woken(waiter));
        Assert.Equal(1, _queue.Controller.Find("p")!.Task("t")!.ConsumedCount);
        Assert.Equal(StateDigest.Of(_queue.State), StateDigest.Of(_queue.Replay()));
    }

    [Fact]
    public void OneQuestionIsOutAtATimeAndTheNextKnowsWhatTheLastTook()
    {
        Put("p", 4);
        Waiter first = Park("p", 2), second = Park("p", 2);
        Ask();
        Assert.False(_queue.State.TryAsk(out _));
        _queue.State.Answer([0, 1], [0, 1]);
        Assert.Equal([2L, 3], Ask());
        _queue.State.Answer([2, 3], [2, 3]);
        Assert.Equal([0L, 1], Woken(first));
        Assert.Equal([2L, 3], Woken(second));
    }

    [Fact]
    public void ARowThatIsNotFreeAnyMoreIsAskedForAgain()
    {
        Put("p", 3);
        Waiter waiter = Park("p", 2);
        Ask();
        _queue.State.Apply(new ClearKeysRecord("p", ["k2"]));
        _queue.State.Answer([2, 0], [2, 0]);
        Assert.False(_queue.State.TryTakeWoken(out _));
        Assert.Equal([0L, 1], Ask());
        _queue.State.Answer([1, 0], [1, 0]);
        Assert.Equal([1L, 0], Woken(waiter));
    }

    [Fact]
    public void APartitionThatWentMeanwhileIsAskedForAgain()
    {
        Put("p", 2);
        Park("p", 2);
        Ask();
        _queue.State.Apply(new ClearPartitionRecord("p"));
        _queue.State.Answer([0, 1], [0, 1]);
        Assert.False(_queue.State.TryAsk(out _));
        Put("p", 2);
        Assert.Equal(2, Ask().Length);
    }

    [Fact]
    public void ARowOfAnEarlierBatchIsGivenAgainButNotAnInventedOne()
    {
        Put("p", 2);
        Park("p", 2);
        Ask();
        _queue.State.Answer([0, 1], [0, 1]);
        Woken();
        Waiter sibling = Park("p", 2), liar = Park("p", 2);
        Assert.Empty(Ask());
        _queue.State.Answer([0, 1], [0, 1]);
        Assert.Equal([0L, 1], Woken(sibling));
        Assert.Empty(Ask());
        _queue.State.Answer([77], []);
        Assert.True(_queue.State.TryTakeWoken(out WokenFetch? woken));
        Assert.Same(liar, woken.Waiter);
        Assert.Contains("row 77", Assert.IsType<SamplerException>(woken.Error).Message);
    }

    [Fact]
    public void AnEarlierBatchWaitsForTheFieldsThatAreAskedFor()
    {
        Put("p", 2);
        Park("p", 2);
        Ask();
        _queue.State.Answer([0, 1], [0, 1]);
        Woken();
        Waiter sibling = Park("p", 2, fields: ["x", "y"]);
        Ask();
        _queue.State.Answer([0, 1], []);
        Assert.False(_queue.State.TryTakeWoken(out _));
        Put("p", 2, "y");
        Ask();
        _queue.State.Answer([0, 1], []);
        Assert.Equal([0L, 1], Woken(sibling));
    }

    [Fact]
    public void WithTooFewRowsItIsAskedOnceAndThenWhenSomethingChanged()
    {
        Put("p", 1);
        Park("p", 2);
        Assert.Single(Ask());
        _queue.State.Answer([], []);
        Put("other", 1);
        Put("p", 1, "y");
        Assert.False(_queue.State.TryAsk(out _));
        Put("p", 2);
        Assert.Equal(2, Ask().Length);
    }

    [Fact]
    public void WhoDoesNotWaitGetsAnEmptyBatch()
    {
        Waiter nowhere = Park("nowhere", 2, waits: false);
        Assert.False(_queue.State.TryAsk(out _));
        Assert.Empty(Woken(nowhere));
        Put("p", 2);
        Waiter nothing = Park("p", 2, waits: false);
        Ask();
        _queue.State.Answer([], []);
        Assert.Empty(Woken(nothing));
    }

    [Fact]
    public void AnAnswerForWhoHasGoneChangesNothing()
    {
        Put("p", 2);
        Waiter gone = Park("p", 2), next = Park("p", 2);
        Ask();
        Assert.True(_queue.State.Cancel(gone));
        _queue.State.Answer([0, 1], [0, 1]);
        Assert.Null(_queue.Controller.Find("p")!.Task("t"));
        Assert.Equal([0L, 1], Ask());
        _queue.State.FailQuestion(new SamplerException("broken"));
        Assert.True(_queue.State.TryTakeWoken(out WokenFetch? woken));
        Assert.Same(next, woken.Waiter);
        Assert.Equal("broken", woken.Error!.Message);
    }

    [Fact]
    public void WhoGivesUpIsToldWhatTheSamplerDid()
    {
        Put("p", 2);
        Park("p", 2, deadline: 10);
        _queue.State.Expire(10);
        Assert.Contains("was not asked yet", Failed());
        Park("p", 2, deadline: 20);
        Ask();
        _queue.State.Expire(20);
        Assert.Contains("has not answered yet", Failed());
        _queue.State.Answer([0], [0]);
        Park("p", 2, deadline: 30);
        Ask();
        _queue.State.Answer([], []);
        _queue.State.Expire(30);
        Assert.Contains("found no batch", Failed());
    }

    private void Put(string partition, int count, string field = "x") =>
        _queue.PutKeys(partition, TestQueue.Keys("k", count), TestColumn.Dense(_random, field, DType.Int8, count));

    private Waiter Park(string partition, int count, bool waits = true, long deadline = 1000, string[]? fields = null) =>
        _queue.State.Park(new FetchQuery(partition, "t", [.. fields ?? ["x"]], count), deadline, null, waits);

    private long[] Ask()
    {
        Assert.True(_queue.State.TryAsk(out SampleQuestion? question));
        return question.Offered;
    }

    private ImmutableArray<long> Woken(Waiter? waiter = null)
    {
        Assert.True(_queue.State.TryTakeWoken(out WokenFetch? woken));
        Assert.True(waiter is null || waiter == woken.Waiter);
        return woken.Meta!.GlobalIndexes;
    }

    private string Failed()
    {
        Assert.True(_queue.State.TryTakeWoken(out WokenFetch? woken));
        return Assert.IsType<NotReadyException>(woken.Error).Message;
    }
}

using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using TransferQueue.Sampling;
using TransferQueue.Tests.Sampling;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>What Control owes a sampler: free rows in order, tags, the batches that it fixed, and a record of what it picked.</summary>
public sealed class SamplerStateTests : IDisposable
{
    private readonly Random _random = new(41);
    private readonly TestQueue _queue = new(sampler: new SeqlenBalancedSampler(2, 2));

    public void Dispose() => _queue.Dispose();

    [Fact]
    public void EachRankGetsItsShareOnceAndAgainAndAReplayKnowsIt()
    {
        Put("p", 0, 8, "x");
        long[] first = Taken(0, 0);
        Assert.Equal(first, Taken(0, 0));
        Assert.Contains("taken False", StateDigest.Of(_queue.State));
        Assert.Equal(StateDigest.Of(_queue.State), StateDigest.Of(_queue.Replay()));
        long[] second = Taken(1, 0);
        Assert.DoesNotContain("taken False", StateDigest.Of(_queue.State));
        Assert.Equal([0L, 1, 2, 3], first.Concat(second).Order());
        Assert.Equal(StateDigest.Of(_queue.State), StateDigest.Of(_queue.Replay()));
    }

    [Fact]
    public void ARankThatIsAheadDoesNotGetWhatIsKeptForAnother()
    {
        Put("p", 0, 8, "x");
        long[] ahead = [.. Taken(0, 0), .. Taken(0, 1)];
        Assert.Null(Fetch(0, 2));
        Assert.Equal(ahead.Length, _queue.Controller.Find("p")!.Task("t")!.ConsumedCount);
        Assert.Equal([0L, 1, 2, 3, 4, 5, 6, 7], ahead.Concat(Taken(1, 0)).Concat(Taken(1, 1)).Order());
    }

    [Fact]
    public void RowsKeptForARankAreFreeForAnotherTask()
    {
        Put("p", 0, 4, "x");
        Taken(0, 0);
        Assert.NotNull(FetchFor("critic", 0, 0));
    }

    [Fact]
    public void TheFixedBatchesGoWithThePartition()
    {
        Put("p", 0, 4, "x");
        Taken(0, 0);
        _queue.State.Apply(new ClearPartitionRecord("p"));
        Put("p", 0, 4, "x");
        Assert.Empty(_queue.Controller.Find("p")!.Samples.Batches);
        Assert.False(_queue.Controller.Find("p")!.Samples.HasReserved);
    }

    [Fact]
    public void AFixedRowThatWasClearedMeanwhileIsStaleAlsoIfItsIndexLivesAgain()
    {
        Put("p", 0, 4, "x");
        Taken(0, 0);
        string kept = $"k{new long[] { 0, 1, 2, 3 }.Except(Taken(0, 0)).First()}";
        _queue.State.Apply(new ClearKeysRecord("p", [kept]));
        Assert.Throws<StaleBatchException>(() => Fetch(1, 0));
        Put("p", 100, 1, "x");
        Assert.Throws<StaleBatchException>(() => Fetch(1, 0));
    }

    [Fact]
    public void AFixedBatchWaitsForTheFieldsThatAreAskedFor()
    {
        Put("p", 0, 4, "x");
        long[] first = Taken(0, 0);
        Assert.Null(Fetch(0, 0, "x", "y"));
        Put("p", 0, 4, "y");
        Assert.Equal(first, Fetch(0, 0, "x", "y"));
    }

    [Fact]
    public void RowsThatAreReadyButMakeNoBatchAreExplained()
    {
        Put("p", 0, 2, "x");
        string says = _queue.Controller.NotReady(Query(0, 0, "t", "x")).Message;
        Assert.Contains("2 of 2 rows ready; the sampler SeqlenBalancedSampler found no batch in them", says);
        Assert.Contains("whole groups of 2", says);
    }

    [Fact]
    public void ARequestThatCanNotBeRightIsRefusedBeforeThereIsAnyRow() =>
        Assert.Throws<InvalidArgumentException>(() => _queue.State.TryFetch(new FetchQuery("nowhere", "t", ["x"], 3), out _));

    private void Put(string partition, int first, int count, string field) =>
        _queue.PutKeys(partition, TestQueue.Keys("k", count, first), TestColumn.Dense(_random, field, DType.Int8, count));

    private long[] Taken(int rank, int batch) => [.. Fetch(rank, batch)!.Value];

    private ImmutableArray<long>? Fetch(int rank, int batch, params string[] fields) => FetchFor("t", rank, batch, fields);

    private ImmutableArray<long>? FetchFor(string task, int rank, int batch, params string[] fields) =>
        _queue.State.TryFetch(Query(rank, batch, task, fields.Length == 0 ? ["x"] : fields), out BatchMeta? meta) ? meta.GlobalIndexes : null;

    private static FetchQuery Query(int rank, int batch, string task, params string[] fields) =>
        new("p", task, [.. fields], 2, MessagePackSerializer.ConvertFromJson(Samples.Rank(rank, batch)));
}

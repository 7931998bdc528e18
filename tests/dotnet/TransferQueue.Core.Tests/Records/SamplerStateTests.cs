using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Sampling;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>What Control owes a sampler: ready rows in order, tags, its state back, and a record of what it picked.</summary>
public sealed class SamplerStateTests : IDisposable
{
    private readonly Random _random = new(41);
    private readonly TestQueue _queue = new(sampler: new LastRowsTwice());

    public void Dispose() => _queue.Dispose();

    [Fact]
    public void TheSamplersStateComesBackToItAndIsReplayed()
    {
        Put("p", 0, 6);
        Assert.Equal([5L, 4], Fetch("p", 2));
        Assert.Equal([5L, 4], Fetch("p", 2));
        Assert.Equal([3L, 2], Fetch("p", 2));
        Assert.Equal(StateDigest.Of(_queue.State), StateDigest.Of(_queue.Replay()));
        Assert.Contains("sampler 0302", StateDigest.Of(_queue.State).Replace("00000000000000", ""));
    }

    [Fact]
    public void ACachedResultIsGivenAlsoWhenTooFewRowsAreReady()
    {
        Put("p", 0, 2);
        Assert.Equal([1L, 0], Fetch("p", 2));
        Assert.Equal([1L, 0], Fetch("p", 2));
        Assert.Null(Fetch("p", 2));
    }

    [Fact]
    public void TheStateGoesWithThePartition()
    {
        Put("p", 0, 2);
        Fetch("p", 2);
        _queue.State.Apply(new TransferQueue.Records.ClearPartitionRecord("p"));
        Put("p", 0, 2);
        Assert.True(_queue.Controller.Find("p")!.SamplerState.IsEmpty);
    }

    [Fact]
    public void ACachedRowThatWasClearedMeanwhileIsStale()
    {
        Put("p", 0, 4);
        Fetch("p", 2);
        _queue.State.Apply(new TransferQueue.Records.ClearKeysRecord("p", ["k3"]));
        Assert.Throws<StaleBatchException>(() => Fetch("p", 2));
    }

    private void Put(string partition, int first, int count) =>
        _queue.PutKeys(partition, TestQueue.Keys("k", count, first), TestColumn.Dense(_random, "x", DType.Int8, count));

    private ImmutableArray<long>? Fetch(string partition, int count) =>
        _queue.State.TryFetch(new FetchQuery(partition, "t", ["x"], count), out BatchMeta? meta) ? meta.GlobalIndexes : null;

    /// <summary>Gives the last ready rows, last first, each batch two times: the second time out of its state.</summary>
    private sealed class LastRowsTwice : ISampler
    {
        public string Name => "LastRowsTwice";

        public int ReadyWanted(int batchSize) => int.MaxValue;

        public bool HasResult(in SampleRequest request) => !request.State.IsEmpty;

        public SampleResult Sample(in SampleRequest request)
        {
            if (!request.State.IsEmpty)
                return new SampleResult([.. System.Runtime.InteropServices.MemoryMarshal.Cast<byte, long>(request.State.Span)], [], default);
            long[] rows = request.Ready[^request.BatchSize..].ToArray();
            Array.Reverse(rows);
            return new SampleResult([.. rows], [.. rows], System.Runtime.InteropServices.MemoryMarshal.AsBytes<long>(rows).ToArray());
        }
    }
}

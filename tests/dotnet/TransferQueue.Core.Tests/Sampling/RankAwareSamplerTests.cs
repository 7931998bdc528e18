using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Sampling;
using Xunit;

namespace TransferQueue.Tests.Sampling;

public sealed class RankAwareSamplerTests
{
    [Fact]
    public void SiblingsOfARankGetTheSameRowsAndNobodyElseDoes() => Prop.ForAll(
        Gen.ListOf(from rank in Gen.Choose(0, 2) from batch in Gen.Choose(0, 3) from size in Gen.Choose(1, 5) select (rank, batch, size)).ToArbitrary(),
        asked =>
        {
            var samples = new Samples(new RankAwareSampler());
            Queue<long> ready = new(Enumerable.Range(0, 20).Select(row => (long)row));
            Dictionary<(int, int), long[]> model = [];
            foreach (var (rank, batch, size) in asked)
            {
                if (!model.TryGetValue((rank, batch), out long[]? expected) && ready.Count >= size)
                    model[(rank, batch)] = expected = [.. Enumerable.Range(0, size).Select(_ => ready.Dequeue())];
                // Rows that were given out are not ready any more: Control says so.
                long[] now = [.. (expected ?? []).Except(model.Where(pair => pair.Key != (rank, batch)).SelectMany(pair => pair.Value)), .. ready];
                bool known = samples.HasResult(Samples.Rank(rank, batch));
                Assert.Equal(expected ?? [], samples.Ask(known ? [.. ready] : now, size, Samples.Rank(rank, batch)).Sampled);
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void TooFewRowsFixNothing()
    {
        var samples = new Samples(new RankAwareSampler());
        Assert.True(samples.Ask([0, 1], 3, Samples.Rank(0, 0)).Sampled.IsEmpty);
        Assert.Empty(samples.Cache.Batches);
        Assert.Equal([0L, 1, 2], samples.Ask([0, 1, 2], 3, Samples.Rank(0, 0)).Consumed);
    }

    [Theory]
    [InlineData("{}", "dp_rank")]
    [InlineData("""{"dp_rank": 0}""", "batch_index")]
    [InlineData("""{"dp_rank": null, "batch_index": 0}""", "dp_rank")]
    [InlineData("""{"dp_rank": -1, "batch_index": 0}""", "must be 0 or more")]
    public void RefusesARequestThatDoesNotSayWhoseBatchItIs(string sampling, string says) =>
        Assert.Contains(says, Assert.Throws<InvalidArgumentException>(() => new Samples(new RankAwareSampler()).Ask([0], 1, sampling)).Message);

    [Fact]
    public void RefusesARequestThatSaysNothing() => Assert.Throws<InvalidArgumentException>(() => new Samples(new RankAwareSampler()).Ask([0], 1));
}

using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Sampling;
using Xunit;

namespace TransferQueue.Tests.Sampling;

public sealed class GRPOGroupNSamplerTests
{
    [Fact]
    public void TakesTheFirstWindowsOfConsecutiveRowsOrNothing() => Prop.ForAll(
        (from ready in Samples.ReadyGen
         from rows in Gen.Choose(1, 4)
         from groups in Gen.Choose(1, 6)
         select (ready, rows, groups)).ToArbitrary(),
        given =>
        {
            var result = new Samples(new GRPOGroupNSampler(given.rows)).Ask(given.ready, given.groups * given.rows);
            Assert.Equal(Windows(given.ready, given.groups, given.rows), result.Sampled);
            Assert.Equal(result.Sampled, result.Consumed);
            Assert.Empty(result.Fixed);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void AHoleEndsAGroupAndTheNextOneBeginsBehindIt() =>
        Assert.Equal([3L, 4, 5, 6], new Samples(new GRPOGroupNSampler(4)).Ask([0, 1, 3, 4, 5, 6, 7, 8], 4).Sampled);

    [Fact]
    public void TheBatchOfARankIsFixedWhereTheCallerSaysWhichItIs()
    {
        var samples = new Samples(new GRPOGroupNSampler(2));
        Assert.Equal([0L, 1], samples.Ask([0, 1, 2, 3], 2, Samples.Rank(0, 0)).Sampled);
        Assert.True(samples.HasResult(Samples.Rank(0, 0)));
        Assert.Equal([0L, 1], samples.Ask([2, 3], 2, Samples.Rank(0, 0)).Sampled);
        Assert.Equal([2L, 3], samples.Ask([2, 3], 2, Samples.Rank(1, 0)).Sampled);
        Assert.False(samples.HasResult(Samples.Rank(0, 1)));
        Assert.False(samples.HasResult(Samples.Rank(0, 0), task: "critic"));
    }

    [Fact]
    public void ARankWithoutABatchNumberFixesNothing()
    {
        var samples = new Samples(new GRPOGroupNSampler(2));
        Assert.Equal([0L, 1], samples.Ask([0, 1, 2, 3], 2, """{"dp_rank": 0}""").Sampled);
        Assert.Equal([2L, 3], samples.Ask([2, 3], 2, """{"dp_rank": 0, "batch_index": null}""").Sampled);
        Assert.Empty(samples.Cache.Batches);
    }

    [Fact]
    public void RefusesABatchThatIsNoWholeNumberOfGroupsAndAGroupOfNothing()
    {
        var samples = new Samples(new GRPOGroupNSampler(4));
        Assert.Contains("multiple of n_samples_per_prompt", Assert.Throws<InvalidArgumentException>(() => samples.Ask([0, 1], 6)).Message);
        Assert.Throws<InvalidArgumentException>(() => new GRPOGroupNSampler(0));
        Assert.Throws<InvalidArgumentException>(() => samples.Ask([0], 4, """{"dp_rank": -1}"""));
        Assert.Contains("dp_rank is of type String", Assert.Throws<InvalidArgumentException>(() => samples.Ask([0], 4, """{"dp_rank": "0"}""")).Message);
    }

    /// <summary>Looks at every window in turn: what the sampler must do, as simple as possible.</summary>
    internal static long[] Windows(long[] ready, int groups, int rows)
    {
        List<long> found = [];
        for (int at = 0; at + rows <= ready.Length && found.Count < groups * rows;)
        {
            bool whole = ready[at + rows - 1] - ready[at] == rows - 1;
            if (whole)
                found.AddRange(ready[at..(at + rows)]);
            at += whole ? rows : 1;
        }
        return found.Count == groups * rows ? [.. found] : [];
    }
}

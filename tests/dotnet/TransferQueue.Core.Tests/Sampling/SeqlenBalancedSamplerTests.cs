using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Sampling;
using Xunit;

namespace TransferQueue.Tests.Sampling;

public sealed class SeqlenBalancedSamplerTests
{
    [Fact]
    public void DividesTheRowsOfTheGroupSamplerIntoWholeGroups() => Prop.ForAll(
        (from ready in Samples.ReadyGen
         from rows in Gen.Choose(1, 3)
         from ranks in Gen.Choose(1, 4)
         from groups in Gen.Choose(1, 3)
         from seed in Gen.Choose(0, 1000)
         select (ready, rows, ranks, groups, seed)).ToArbitrary(),
        given =>
        {
            var samples = new Samples(new SeqlenBalancedSampler(given.rows, given.ranks));
            Random random = new(given.seed);
            foreach (long row in given.ready)
                samples.Tags[row] = $$"""{"total_lengths": {{random.Next(1, 5000)}}}""";
            long[] all = GRPOGroupNSamplerTests.Windows(given.ready, given.groups * given.ranks, given.rows);
            List<long> seen = [];
            for (int rank = 0; rank < given.ranks; rank++)
            {
                // After the first rank's call no row need be ready.
                long[] share = [.. samples.Ask(rank == 0 ? given.ready : [], given.groups * given.rows, Samples.Rank(rank, 0)).Sampled];
                Assert.Equal(all.Length / given.ranks, share.Length);
                foreach (long[] group in share.Chunk(given.rows))
                    Assert.Equal(given.rows - 1, group[^1] - group[0]);
                seen.AddRange(share);
            }
            Assert.Equal(all, seen.Order());
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void EvenSharesDifferByNoMoreThanTheWeightsDo() => Prop.ForAll(
        (from shares in Gen.Choose(1, 6)
         from rounds in Gen.Choose(1, 8)
         from weights in Gen.ArrayOf(Gen.Choose(0, 1000), shares * rounds)
         select (shares, weights: weights.Select(weight => (double)weight).ToArray())).ToArbitrary(),
        given =>
        {
            int[][] shares = KarmarkarKarp.DivideEvenly(given.weights, given.shares);
            Assert.Equal(Enumerable.Range(0, given.weights.Length), shares.SelectMany(share => share).Order());
            Assert.All(shares, share => Assert.Equal(given.weights.Length / given.shares, share.Length));
            double[] sums = [.. shares.Select(share => share.Sum(position => given.weights[position]))];
            Assert.True(sums.Max() - sums.Min() <= given.weights.Max() - given.weights.Min());
            Assert.Equal(sums.OrderDescending(), sums);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void FindsAPerfectDivisionWhereTheOrderOfArrivalIsFarFromIt()
    {
        int[][] shares = KarmarkarKarp.DivideEvenly([8, 7, 6, 5, 4, 3, 2, 1], 2);
        Assert.Equal([18.0, 18.0], shares.Select(share => share.Sum(position => 8.0 - position)));
    }

    [Fact]
    public void RowsThatAreKeptForARankAreNoOnesElse()
    {
        var samples = new Samples(new SeqlenBalancedSampler(1, 2));
        long[] first = [.. samples.Ask([0, 1, 2, 3], 2, Samples.Rank(0, 0)).Sampled];
        long kept = new long[] { 0, 1, 2, 3 }.Except(first).First();
        Assert.True(samples.Cache.IsReserved("actor", kept, 0));
        Assert.False(samples.Cache.IsReserved("actor", kept, 1));
        Assert.False(samples.Cache.IsReserved("critic", kept, 0));
        Assert.False(samples.Cache.IsReserved("actor", first[0], 0));
        samples.Ask([], 2, Samples.Rank(1, 0));
        Assert.False(samples.Cache.HasReserved);
        Assert.Equal(2, samples.Ask([], 2, Samples.Rank(1, 0)).Sampled.Length);
    }

    [Fact]
    public void ARowWithoutLengthCountsOneAndAWrongLengthIsRefused()
    {
        var samples = new Samples(new SeqlenBalancedSampler(1, 2));
        (samples.Tags[0], samples.Tags[1], samples.Tags[2]) = ("""{"total_lengths": 2.5}""", """{"total_lengths": null}""", """{"other": 7}""");
        Assert.Equal([0L, 2], samples.Ask([0, 1, 2, 3], 2, Samples.Rank(0, 0)).Sampled);
        samples.Tags[9] = """{"total_lengths": "long"}""";
        Assert.Contains("row 9", Assert.Throws<InvalidArgumentException>(() => samples.Ask([8, 9], 1, Samples.Rank(0, 1))).Message);
    }

    [Fact]
    public void RefusesARankThatThereIsNotAndArgumentsOfNothing()
    {
        var samples = new Samples(new SeqlenBalancedSampler(2, 2));
        Assert.Contains("must be 0 to 1", Assert.Throws<InvalidArgumentException>(() => samples.Ask([0, 1], 2, Samples.Rank(2, 0))).Message);
        Assert.Throws<InvalidArgumentException>(() => samples.Ask([0, 1], 3, Samples.Rank(0, 0)));
        Assert.Throws<InvalidArgumentException>(() => samples.Ask([0, 1], 2));
        Assert.Throws<InvalidArgumentException>(() => new SeqlenBalancedSampler(0, 1));
        Assert.Throws<InvalidArgumentException>(() => new SeqlenBalancedSampler(1, 0));
    }
}

using TransferQueue.Sampling;
using Xunit;

namespace TransferQueue.Tests.Sampling;

public sealed class SequentialSamplerTests
{
    private static readonly long[] Ready = [3, 5, 8, 13];

    [Theory]
    [InlineData(0, 0)]
    [InlineData(2, 2)]
    [InlineData(4, 4)]
    [InlineData(9, 4)]
    [InlineData(-1, 3)]
    [InlineData(-9, 0)]
    public void TakesTheFirstReadyRowsAndConsumesThem(int batchSize, int taken)
    {
        var result = Sample(Ready, batchSize);
        Assert.Equal(Ready[..taken], result.Sampled);
        Assert.Equal(Ready[..taken], result.Consumed);
    }

    [Fact]
    public void KeepsAStateThatIsNotItsOwnAndRowsThatComeTwice()
    {
        var result = Sample([4, 4, 5], 2);
        Assert.Equal([4, 4], result.Sampled);
        Assert.Equal([7], result.State.ToArray());
    }

    [Fact]
    public void SeesNoMoreRowsThanItTakes()
    {
        var sampler = new SequentialSampler();
        Assert.Equal(64, sampler.ReadyWanted(64));
        Assert.Equal(int.MaxValue, sampler.ReadyWanted(-1));
    }

    [Fact]
    public void IsFoundByNameAndOthersAreRefusedWithTheNamesThereAre()
    {
        Assert.IsType<SequentialSampler>(BuiltInSamplers.Get("SequentialSampler"));
        Assert.Contains("SequentialSampler", Assert.Throws<InvalidArgumentException>(() => BuiltInSamplers.Get("Sequential")).Message);
    }

    private static SampleResult Sample(long[] ready, int batchSize) =>
        new SequentialSampler().Sample(new SampleRequest(ready, batchSize, "train", "actor", _ => default, default, new byte[] { 7 }));
}

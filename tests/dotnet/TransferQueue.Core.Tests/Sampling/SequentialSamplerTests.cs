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
        var result = new Samples(new SequentialSampler()).Ask(Ready, batchSize);
        Assert.Equal(Ready[..taken], result.Sampled);
        Assert.Equal(Ready[..taken], result.Consumed);
    }

    [Fact]
    public void KeepsRowsThatComeTwiceAndFixesNothing()
    {
        var result = new Samples(new SequentialSampler()).Ask([4, 4, 5], 2, """{"dp_rank": "anything"}""");
        Assert.Equal([4, 4], result.Sampled);
        Assert.Empty(result.Fixed);
    }

    [Fact]
    public void SeesNoMoreRowsThanItTakes()
    {
        var sampler = new SequentialSampler();
        Assert.Equal(64, sampler.ReadyWanted(64));
        Assert.Equal(int.MaxValue, sampler.ReadyWanted(-1));
    }
}

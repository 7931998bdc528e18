using System.Collections.Immutable;
using TransferQueue.Sampling;
using Xunit;

namespace TransferQueue.Tests.Sampling;

public sealed class BuiltInSamplersTests
{
    [Theory]
    [InlineData("SequentialSampler")]
    [InlineData("GRPOGroupNSampler")]
    [InlineData("RankAwareSampler")]
    [InlineData("SeqlenBalancedSampler")]
    public void ASamplerIsFoundByItsName(string name) => Assert.Equal(name, BuiltInSamplers.Get(name).Name);

    [Fact]
    public void ArgumentsReachTheSampler()
    {
        ISampler sampler = BuiltInSamplers.Get("SeqlenBalancedSampler", Arguments(("n_samples_per_prompt", 4), ("dp_size", 2)));
        Assert.Contains("groups of 4", sampler.Needs);
        Assert.Contains("2 ranks", sampler.Needs);
    }

    [Fact]
    public void AnUnknownNameOrArgumentIsRefusedWithWhatThereIs()
    {
        Assert.Contains("RankAwareSampler", Assert.Throws<InvalidArgumentException>(() => BuiltInSamplers.Get("Sequential")).Message);
        Assert.Contains(
            "takes n_samples_per_prompt",
            Assert.Throws<InvalidArgumentException>(() => BuiltInSamplers.Get("GRPOGroupNSampler", Arguments(("dp_size", 2)))).Message);
        Assert.Contains("none", Assert.Throws<InvalidArgumentException>(() => BuiltInSamplers.Get("RankAwareSampler", Arguments(("dp_size", 2)))).Message);
    }

    private static ImmutableDictionary<string, int> Arguments(params (string Name, int Value)[] values) =>
        values.ToImmutableDictionary(value => value.Name, value => value.Value);
}

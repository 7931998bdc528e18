namespace TransferQueue.Sampling;

/// <summary>The samplers that run in the core, by name.</summary>
internal static class BuiltInSamplers
{
    private static readonly ISampler[] All = [new SequentialSampler()];

    /// <summary>The sampler of a configuration.</summary>
    /// <exception cref="InvalidArgumentException">There is none of this name.</exception>
    internal static ISampler Get(string name) => Array.Find(All, sampler => sampler.Name == name) ?? throw new InvalidArgumentException(
        $"sampler '{name}': not built in; there are {string.Join(", ", All.Select(sampler => sampler.Name))}");
}

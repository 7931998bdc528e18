using System.Collections.Immutable;

namespace TransferQueue.Sampling;

/// <summary>The samplers that run in the core, by name.</summary>
internal static class BuiltInSamplers
{
    private static readonly string[] Names = ["SequentialSampler", "GRPOGroupNSampler", "RankAwareSampler", "SeqlenBalancedSampler"];

    /// <summary>The sampler of a configuration.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="arguments">What its constructor gets, by name; null: nothing.</param>
    /// <exception cref="InvalidArgumentException">There is none of this name, or it takes no such argument, or not this value.</exception>
    internal static ISampler Get(string name, ImmutableDictionary<string, int>? arguments = null)
    {
        arguments ??= ImmutableDictionary<string, int>.Empty;
        string[] taken = name switch
        {
            "SequentialSampler" or "RankAwareSampler" => [],
            "GRPOGroupNSampler" => ["n_samples_per_prompt"],
            "SeqlenBalancedSampler" => ["n_samples_per_prompt", "dp_size"],
            _ => throw new InvalidArgumentException($"sampler '{name}': not built in; there are {string.Join(", ", Names)}"),
        };
        if (arguments.Keys.FirstOrDefault(key => !taken.Contains(key)) is { } unknown)
            throw new InvalidArgumentException($"sampler {name}: it takes no argument '{unknown}'; it takes {string.Join(", ", taken.DefaultIfEmpty("none"))}");
        int rows = arguments.GetValueOrDefault("n_samples_per_prompt", 1);
        return name switch
        {
            "SequentialSampler" => new SequentialSampler(),
            "RankAwareSampler" => new RankAwareSampler(),
            "GRPOGroupNSampler" => new GRPOGroupNSampler(rows),
            _ => new SeqlenBalancedSampler(rows, arguments.GetValueOrDefault("dp_size", 1)),
        };
    }
}

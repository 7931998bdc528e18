namespace TransferQueue.Sampling;

/// <summary>A user's sampler: it runs in a process of its own, so that nothing it does can harm this one. Here is only what is known of it.</summary>
/// <param name="name">The name of its class.</param>
internal sealed class HostedSampler(string name) : ISampler
{
    /// <summary>Ready rows that it is offered at most, so that a question stays a header of bounded size: the first ones.</summary>
    internal const int MostOffered = 1 << 20;

    /// <inheritdoc/>
    public string Name { get; } = name;

    /// <inheritdoc/>
    public string Needs => "what it is written to need";

    /// <inheritdoc/>
    public int ReadyWanted(int batchSize) => MostOffered;

    /// <summary>Takes any request; the sampler itself refuses what it can't use.</summary>
    public void Check(int batchSize, ReadOnlyMemory<byte> sampling)
    {
    }

    /// <inheritdoc/>
    public bool HasResult(in SampleRequest request) => throw Elsewhere();

    /// <inheritdoc/>
    public SampleResult Sample(in SampleRequest request) => throw Elsewhere();

    private InvalidOperationException Elsewhere() => new($"sampler {Name}: it runs in a process of its own");
}

namespace TransferQueue.Sampling;

/// <summary>What a sampler is asked.</summary>
/// <param name="ready">
/// Global indexes of ready rows that the task has not consumed and that are kept for nobody, ascending; at least the first
/// <see cref="ISampler.ReadyWanted"/> ones.
/// </param>
/// <param name="batchSize">Rows wanted.</param>
/// <param name="task">The consuming task.</param>
/// <param name="tagOf">The tag of a row, one packed map; valid while the call lasts.</param>
/// <param name="sampling">What the caller says to the sampler (dp_rank, batch_index …): one packed map; empty: nothing.</param>
/// <param name="cache">The partition's fixed batches; only to be read.</param>
internal readonly ref struct SampleRequest(
    ReadOnlySpan<long> ready, int batchSize, string task, Func<long, ReadOnlyMemory<byte>> tagOf, ReadOnlyMemory<byte> sampling, SampleCache cache)
{
    /// <summary>Global indexes of ready rows, ascending.</summary>
    internal ReadOnlySpan<long> Ready { get; } = ready;

    /// <summary>Rows wanted.</summary>
    internal int BatchSize { get; } = batchSize;

    /// <summary>The consuming task.</summary>
    internal string Task { get; } = task;

    /// <summary>The tag of a row by its global index.</summary>
    internal Func<long, ReadOnlyMemory<byte>> TagOf { get; } = tagOf;

    /// <summary>What the caller says to the sampler.</summary>
    internal ReadOnlyMemory<byte> Sampling { get; } = sampling;

    /// <summary>The partition's fixed batches.</summary>
    internal SampleCache Cache { get; } = cache;

    /// <summary>The batch that was fixed for this request before, or null.</summary>
    internal CachedBatch? Fixed(in SamplingArguments arguments) => arguments.Key(Task) is { } key ? Cache.Find(key) : null;
}

namespace TransferQueue.Sampling;

/// <summary>What a sampler is asked.</summary>
/// <param name="ready">Global indexes of ready rows that the task has not consumed, ascending; at least the first <see cref="ISampler.ReadyWanted"/> ones.</param>
/// <param name="batchSize">Rows wanted.</param>
/// <param name="partition">The rows' partition.</param>
/// <param name="task">The consuming task.</param>
/// <param name="tagOf">The tag of a row, one packed map; valid while the call lasts.</param>
/// <param name="sampling">What the caller says to the sampler (dp_rank, batch_index …): one packed map; empty: nothing.</param>
/// <param name="state">What the last <see cref="SampleResult"/> for this partition left; empty at first. Its form is the sampler's own.</param>
internal readonly ref struct SampleRequest(
    ReadOnlySpan<long> ready, int batchSize, string partition, string task, Func<long, ReadOnlyMemory<byte>> tagOf,
    ReadOnlyMemory<byte> sampling, ReadOnlyMemory<byte> state)
{
    /// <summary>Global indexes of ready rows, ascending.</summary>
    internal ReadOnlySpan<long> Ready { get; } = ready;

    /// <summary>Rows wanted.</summary>
    internal int BatchSize { get; } = batchSize;

    /// <summary>The rows' partition.</summary>
    internal string Partition { get; } = partition;

    /// <summary>The consuming task.</summary>
    internal string Task { get; } = task;

    /// <summary>The tag of a row by its global index.</summary>
    internal Func<long, ReadOnlyMemory<byte>> TagOf { get; } = tagOf;

    /// <summary>What the caller says to the sampler.</summary>
    internal ReadOnlyMemory<byte> Sampling { get; } = sampling;

    /// <summary>What the last call left.</summary>
    internal ReadOnlyMemory<byte> State { get; } = state;
}

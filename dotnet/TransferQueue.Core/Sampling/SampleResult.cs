using System.Collections.Immutable;

namespace TransferQueue.Sampling;

/// <summary>What a sampler answers.</summary>
/// <param name="Sampled">Global indexes of the batch's rows, in its order; empty: there is no batch.</param>
/// <param name="Consumed">Those that the task does not get again; with replacement fewer than were sampled.</param>
/// <param name="Fixed">Batches that are fixed from now on.</param>
/// <param name="Cached">The batch that was fixed before and is given here; null: the rows were picked just now.</param>
internal readonly record struct SampleResult(
    ImmutableArray<long> Sampled, ImmutableArray<long> Consumed, ImmutableArray<CachedBatch> Fixed, CachedBatch? Cached = null)
{
    /// <summary>There is no batch in what is ready.</summary>
    internal static SampleResult None { get; } = new([], [], []);

    /// <summary>A batch that was fixed before.</summary>
    internal static SampleResult Of(CachedBatch batch) => new(batch.Rows, batch.Rows, batch.IsTaken ? [] : [batch with { IsTaken = true }], batch);

    /// <summary>Rows that were picked just now; with a key the batch is fixed thereby.</summary>
    internal static SampleResult Of(ImmutableArray<long> rows, BatchKey? key) => new(rows, rows, key is { } own ? [new CachedBatch(own, rows, true)] : []);
}

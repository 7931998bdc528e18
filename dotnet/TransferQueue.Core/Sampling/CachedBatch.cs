using System.Collections.Immutable;

namespace TransferQueue.Sampling;

/// <summary>A batch whose rows are fixed. Immutable.</summary>
/// <param name="Key">Whose.</param>
/// <param name="Rows">Global indexes, in the batch's order.</param>
/// <param name="IsTaken">Whether it was handed out; until then its rows are kept for it.</param>
internal sealed record CachedBatch(BatchKey Key, ImmutableArray<long> Rows, bool IsTaken)
{
    /// <summary>Each row's generation, so that a row that was cleared meanwhile is noticed; Control fills it in.</summary>
    internal ImmutableArray<uint> Generations { get; init; } = [];
}

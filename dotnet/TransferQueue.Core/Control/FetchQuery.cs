using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Sampling;

namespace TransferQueue.Control;

/// <summary>What a consumer asks for: rows that are ready in all fields and that its task has not consumed.</summary>
/// <param name="Partition">The partition; it need not exist yet.</param>
/// <param name="Task">Whose consumption counts.</param>
/// <param name="Fields">The fields; at least one.</param>
/// <param name="BatchSize">Rows wanted, ≥ 1.</param>
/// <param name="Sampling">What the sampler is told, a packed map; empty: nothing.</param>
internal sealed record FetchQuery(string Partition, string Task, ImmutableArray<string> Fields, int BatchSize, ReadOnlyMemory<byte> Sampling = default);

/// <summary>The rows that a sampler picked for a query.</summary>
/// <param name="Rows">The rows to hand out, in that order.</param>
/// <param name="Consumed">The rows that the task has consumed thereby.</param>
/// <param name="Fixed">The batches that the sampler has fixed thereby.</param>
internal sealed record FetchPick(FoundRows[] Rows, RowSelection Consumed, ImmutableArray<CachedBatch> Fixed);

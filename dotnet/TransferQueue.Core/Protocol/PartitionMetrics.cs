using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>What METRICS's reply tells of a partition.</summary>
/// <param name="Name">The partition.</param>
/// <param name="Rows">Its rows, pre-allocated ones included.</param>
/// <param name="Cells">Ready cells of these rows, over all fields.</param>
/// <param name="Fields">Its fields.</param>
/// <param name="Consumed">Task → rows that it has consumed.</param>
internal sealed record PartitionMetrics(string Name, long Rows, long Cells, ImmutableArray<string> Fields, ImmutableSortedDictionary<string, long> Consumed);

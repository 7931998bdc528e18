using System.Collections.Immutable;

namespace TransferQueue.Columns;

/// <summary>Rows named by their global indexes, in the order asked for; a row may appear more than once. An immutable value.</summary>
/// <param name="Parts">The rows' partitions, run-length encoded; the counts add up to the number of rows.</param>
/// <param name="Indexes">Global indexes int64[B].</param>
/// <param name="Generations">uint32[B], 0 = unchecked; default: all unchecked.</param>
public sealed record RowSelection(ImmutableArray<PartitionRun> Parts, ImmutableArray<long> Indexes, ImmutableArray<uint> Generations = default)
{
    /// <summary>Number of rows B.</summary>
    public int Rows => Indexes.Length;

    /// <summary>The generation that row <paramref name="row"/> must have, or 0: unchecked.</summary>
    public uint Generation(int row) => Generations.IsDefault ? 0 : Generations[row];
}

using System.Collections.Immutable;
using TransferQueue.Sampling;

namespace TransferQueue.Control;

/// <summary>Everything that a controller knows at one moment, apart from it: what a checkpoint holds and a load puts in its place.</summary>
/// <param name="Partitions">The partitions in the order of their creation.</param>
/// <param name="Pool">The identities of rows.</param>
internal sealed record ControllerImage(ImmutableArray<PartitionImage> Partitions, PoolImage Pool)
{
    /// <summary>Rows of all partitions.</summary>
    public long RowCount => Partitions.Sum(partition => (long)partition.Indexes.Length);

    /// <summary>The same without the batches that a sampler had fixed: for a queue that has another sampler.</summary>
    public ControllerImage WithoutBatches() => this with { Partitions = [.. Partitions.Select(partition => partition with { Batches = [] })] };

    /// <summary>The blocks that cells lie in, each once, in the order in which they are met.</summary>
    public List<ColumnBlock> Blocks()
    {
        List<ColumnBlock> blocks = [];
        HashSet<ColumnBlock> seen = new(ReferenceEqualityComparer.Instance);
        foreach (FieldImage field in Partitions.SelectMany(partition => partition.Fields))
        {
            ColumnBlock? last = null;
            foreach (Segment cells in field.Cells)
            {
                if (!ReferenceEquals(cells.Block, last) && seen.Add(cells.Block))
                    blocks.Add(cells.Block);
                last = cells.Block;
            }
        }
        return blocks;
    }
}

/// <summary>One partition at one moment. Its rows are numbered from 0 without gaps, in the order of their slots.</summary>
/// <param name="Name">The name.</param>
/// <param name="Indexes">The rows' global indexes.</param>
/// <param name="Keys">The rows' keys; null: none.</param>
/// <param name="Tags">The rows' encoded tags; null: empty.</param>
/// <param name="KeyOrder">The rows with a key, in the order in which they got it.</param>
/// <param name="Fields">All fields that ever had a cell.</param>
/// <param name="Tasks">What tasks have consumed.</param>
/// <param name="PreAllocated">Rows that wait for an owner, in their order.</param>
/// <param name="Batches">The batches that the sampler has fixed.</param>
internal sealed record PartitionImage(
    string Name, long[] Indexes, string?[] Keys, byte[]?[] Tags, int[] KeyOrder, ImmutableArray<FieldImage> Fields, ImmutableArray<TaskImage> Tasks,
    int[] PreAllocated, ImmutableArray<CachedBatch> Batches);

/// <summary>One field of a partition at one moment.</summary>
/// <param name="Name">The name.</param>
/// <param name="Cells">Where its cells lie, by rows, ascending, disjoint.</param>
internal sealed record FieldImage(string Name, Segment[] Cells);

/// <summary>What a task has consumed at one moment.</summary>
/// <param name="Name">The task.</param>
/// <param name="Consumed">Stretches of rows, ascending, disjoint.</param>
internal sealed record TaskImage(string Name, (int Start, int Count)[] Consumed);

/// <summary>The identities of rows at one moment.</summary>
/// <param name="Next">The smallest index that was never given out.</param>
/// <param name="Free">The stretches that wait to be given out again, in their order.</param>
/// <param name="Generations">uint[Next].</param>
internal sealed record PoolImage(long Next, (long Start, long Count)[] Free, uint[] Generations);

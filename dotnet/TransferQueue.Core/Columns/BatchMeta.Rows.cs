using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace TransferQueue.Columns;

/// <content>Batches of some of the rows: select, reorder, chunk.</content>
public sealed partial class BatchMeta
{
    /// <summary>The rows at <paramref name="positions"/>, in that order; a position may come more than once.</summary>
    /// <exception cref="InvalidArgumentException">A position is not in [0, <see cref="Size"/>).</exception>
    public BatchMeta SelectRows(ReadOnlySpan<long> positions)
    {
        var rows = new int[positions.Length];
        for (int i = 0; i < rows.Length; i++)
        {
            if ((ulong)positions[i] >= (ulong)Size)
                throw new InvalidArgumentException($"batch of {Size} rows: no row at position {positions[i]}; positions are 0 to {Size - 1}");
            rows[i] = (int)positions[i];
        }
        return Gather(rows);
    }

    /// <summary>The same rows in another order.</summary>
    /// <param name="order">Position of each row to be; a permutation of 0 to <see cref="Size"/> − 1.</param>
    /// <exception cref="InvalidArgumentException">It is none.</exception>
    public BatchMeta Reorder(ReadOnlySpan<long> order)
    {
        if (order.Length != Size)
            throw new InvalidArgumentException($"batch of {Size} rows: an order of {order.Length}; it must name each row once");
        var seen = new bool[Size];
        foreach (long position in order)
        {
            if ((ulong)position < (ulong)Size && seen[position])
                throw new InvalidArgumentException($"batch of {Size} rows: an order that has position {position} twice");
            if ((ulong)position < (ulong)Size)
                seen[position] = true;
        }
        return SelectRows(order);
    }

    /// <summary>Consecutive parts whose sizes differ by 1 at most, the longer ones first; empty ones where there are too few rows.</summary>
    /// <param name="count">How many; at least 1.</param>
    /// <exception cref="InvalidArgumentException"><paramref name="count"/> is less.</exception>
    public ImmutableArray<BatchMeta> Chunk(int count)
    {
        if (count < 1)
            throw new InvalidArgumentException($"batch of {Size} rows: {count} chunks; at least 1 is needed");
        var (rows, longer) = Math.DivRem(Size, count);
        var chunks = ImmutableArray.CreateBuilder<BatchMeta>(count);
        for (int i = 0, start = 0; i < count; i++)
        {
            int length = rows + (i < longer ? 1 : 0);
            chunks.Add(Slice(start, length));
            start += length;
        }
        return chunks.MoveToImmutable();
    }

    /// <summary>One part per partition, in the order of the partitions' first rows; rows keep their order.</summary>
    public ImmutableArray<BatchMeta> ChunkByPartition()
    {
        var rows = new OrderedDictionary<string, List<int>>();
        int row = 0;
        foreach (var run in Partitions)
        {
            if (!rows.TryGetValue(run.Partition, out var own))
                rows.Add(run.Partition, own = []);
            for (int i = 0; i < run.Count; i++)
                own.Add(row++);
        }
        return [.. rows.Values.Select(own => Gather(CollectionsMarshal.AsSpan(own)))];
    }

    /// <summary>The rows [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>).</summary>
    internal BatchMeta Slice(int start, int count) => new(
        GlobalIndexes.Slice(start, count),
        Generations.IsDefault ? default : Shortest(Generations.Slice(start, count)),
        PartitionRuns.Slice(Partitions, start, count),
        ProductionStatus.Slice(start, count),
        WithRows(field => field.Slice(start, count)),
        Shortest(Tags?.Slice(start, count)));

    private BatchMeta Gather(ReadOnlySpan<int> rows) => new(
        Gather(GlobalIndexes, rows),
        Generations.IsDefault ? default : Shortest(Gather(Generations, rows)),
        PartitionRuns.Select(Partitions, rows),
        Gather(ProductionStatus, rows),
        GatherFields(rows),
        Shortest(Tags?.Select(rows)));

    /// <summary>The fields with other sizes; the same array where no field has any.</summary>
    private ImmutableArray<FieldSchema> WithRows(Func<FieldSchema, FieldSchema> slice) =>
        HasSizes ? [.. Fields.Select(slice)] : Fields;

    private ImmutableArray<FieldSchema> GatherFields(ReadOnlySpan<int> rows)
    {
        if (!HasSizes)
            return Fields;
        var fields = Fields.ToBuilder();
        for (int i = 0; i < fields.Count; i++)
            fields[i] = fields[i].Select(rows);
        return fields.MoveToImmutable();
    }

    private bool HasSizes => Fields.Any(schema => !schema.Sizes.IsDefault);

    private static ImmutableArray<T> Gather<T>(ImmutableArray<T> values, ReadOnlySpan<int> rows)
    {
        var gathered = new T[rows.Length];
        var span = values.AsSpan();
        for (int i = 0; i < gathered.Length; i++)
            gathered[i] = span[rows[i]];
        return ImmutableCollectionsMarshal.AsImmutableArray(gathered);
    }
}

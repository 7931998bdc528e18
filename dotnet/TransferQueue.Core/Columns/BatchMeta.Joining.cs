using System.Collections.Immutable;

namespace TransferQueue.Columns;

/// <content>One batch of several: concat (more rows), union (more fields).</content>
public sealed partial class BatchMeta
{
    /// <summary>The rows of all batches, one after the other; empty batches are left out.</summary>
    /// <param name="batches">In the order wanted.</param>
    /// <param name="validate">
    /// Whether fields and dtypes must be the same everywhere. Without, only fields that all batches have are kept, with the first one's dtype.
    /// </param>
    /// <returns>Fields whose shapes differ are nested, with sizes.</returns>
    /// <exception cref="InvalidArgumentException">Fields or dtypes differ, and <paramref name="validate"/>.</exception>
    public static BatchMeta Concat(IEnumerable<BatchMeta> batches, bool validate = true)
    {
        var parts = batches.Where(batch => batch.Size > 0).ToList();
        if (parts.Count <= 1)
            return parts.FirstOrDefault(Empty);
        if (validate)
            CheckSameFields(parts);
        return new BatchMeta(
            Join(parts, part => part.GlobalIndexes),
            parts.All(part => part.Generations.IsDefault) ? default : JoinGenerations(parts),
            JoinPartitions(parts),
            Join(parts, part => part.ProductionStatus),
            JoinFields(parts),
            PackedTags.Concat(parts.Select(part => (part.Tags, part.Size)).ToList()));
    }

    /// <summary>The same rows with the fields and tags of both; <paramref name="other"/> wins. Ready is what is ready in both.</summary>
    /// <remarks>An empty side gives the other side. A row's tag is the other's, unless that is empty.</remarks>
    /// <exception cref="InvalidArgumentException">Rows, partitions or generations differ.</exception>
    public BatchMeta Union(BatchMeta other)
    {
        if (Size == 0 || other.Size == 0)
            return Size == 0 ? other : this;
        CheckSameRows(other);
        var status = ProductionStatus.ToBuilder();
        for (int i = 0; i < status.Count; i++)
            status[i] &= other.ProductionStatus[i];
        var all = AddFields(other.Fields, setReady: false).Fields;
        return new BatchMeta(
            GlobalIndexes, UnionGenerations(other), Partitions, status.MoveToImmutable(), all, PackedTags.Override(Tags, other.Tags));
    }

    private static void CheckSameFields(List<BatchMeta> parts)
    {
        var first = parts[0].Fields;
        for (int i = 1; i < parts.Count; i++)
        {
            var fields = parts[i].Fields;
            if (!first.Select(field => field.Name).SequenceEqual(fields.Select(field => field.Name)))
                throw new InvalidArgumentException(
                    $"concat: batch 0 has the fields {Names(first)}; batch {i} has {Names(fields)}; select the same fields of all");
            for (int f = 0; f < fields.Length; f++)
            {
                if (first[f].DType is { } dtype && fields[f].DType is { } there && dtype != there)
                    throw new InvalidArgumentException($"concat: field '{first[f].Name}': dtype {dtype} in batch 0, {there} in batch {i}");
            }
        }
    }

    private static string Names(ImmutableArray<FieldSchema> fields) => $"[{string.Join(", ", fields.Select(field => field.Name))}]";

    private static ImmutableArray<uint> JoinGenerations(List<BatchMeta> parts)
    {
        var generations = ImmutableArray.CreateBuilder<uint>(parts.Sum(part => part.Size));
        foreach (var part in parts)
        {
            if (part.Generations.IsDefault)
                generations.Count += part.Size;
            else
                generations.AddRange(part.Generations);
        }
        return generations.MoveToImmutable();
    }

    private static ImmutableArray<PartitionRun> JoinPartitions(List<BatchMeta> parts)
    {
        var runs = new PartitionRuns.Builder();
        foreach (var run in parts.SelectMany(part => part.Partitions))
            runs.Add(run.Partition, run.Count);
        return runs.ToImmutable();
    }

    private static ImmutableArray<T> Join<T>(List<BatchMeta> parts, Func<BatchMeta, ImmutableArray<T>> of)
    {
        var joined = ImmutableArray.CreateBuilder<T>(parts.Sum(part => part.Size));
        foreach (var part in parts)
            joined.AddRange(of(part));
        return joined.MoveToImmutable();
    }

    private static ImmutableArray<FieldSchema> JoinFields(List<BatchMeta> parts)
    {
        if (parts.All(part => part.Fields == parts[0].Fields) && !parts[0].HasSizes)
            return parts[0].Fields;
        var shared = parts.Skip(1).Aggregate(
            parts[0].Fields.Select(field => field.Name).ToHashSet(),
            (names, part) =>
            {
                names.IntersectWith(part.Fields.Select(field => field.Name));
                return names;
            });
        // Sorted by name and filtered by the same names, the fields of all parts stand side by side.
        var fields = parts.Select(part => part.Fields.RemoveAll(field => !shared.Contains(field.Name))).ToList();
        return [.. Enumerable.Range(0, shared.Count).Select(
            f => FieldSchema.Concat(parts.Select((part, i) => (fields[i][f], part.Size)).ToList()))];
    }

    private void CheckSameRows(BatchMeta other)
    {
        if (!GlobalIndexes.AsSpan().SequenceEqual(other.GlobalIndexes.AsSpan()))
            throw new InvalidArgumentException($"union: batches of {Size} and {other.Size} rows, or with other global indexes; both must name the same rows");
        if (!Partitions.AsSpan().SequenceEqual(other.Partitions.AsSpan()))
            throw new InvalidArgumentException("union: the same global indexes in other partitions; both must name the same rows");
    }

    /// <summary>What is checked by one side is checked by both.</summary>
    private ImmutableArray<uint> UnionGenerations(BatchMeta other)
    {
        if (Generations.IsDefault || other.Generations.IsDefault)
            return Generations.IsDefault ? other.Generations : Generations;
        var generations = Generations.ToBuilder();
        for (int i = 0; i < generations.Count; i++)
        {
            uint theirs = other.Generations[i];
            if (generations[i] != theirs && generations[i] != 0 && theirs != 0)
                throw new InvalidArgumentException(
                    $"union: row {GlobalIndexes[i]} has generation {generations[i]} and {theirs}: it was cleared and taken anew between the two batches");
            generations[i] = Math.Max(generations[i], theirs);
        }
        return generations.MoveToImmutable();
    }
}

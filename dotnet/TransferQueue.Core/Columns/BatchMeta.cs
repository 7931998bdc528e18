using System.Collections.Immutable;

namespace TransferQueue.Columns;

/// <summary>
/// A batch without its bytes, as a structure of arrays: who its B rows are, whether they are ready, their tags, and one schema
/// per field, O(B) + O(F). An immutable value; every operation makes another one and shares what it did not change.
/// </summary>
/// <remarks>Errors of operations are <see cref="InvalidArgumentException"/>s, unless said otherwise.</remarks>
public sealed partial class BatchMeta
{
    private BatchMeta(
        ImmutableArray<long> globalIndexes, ImmutableArray<uint> generations, ImmutableArray<PartitionRun> partitions,
        ImmutableArray<sbyte> productionStatus, ImmutableArray<FieldSchema> fields, PackedTags? tags)
    {
        GlobalIndexes = globalIndexes;
        Generations = generations;
        Partitions = partitions;
        ProductionStatus = productionStatus;
        Fields = fields;
        Tags = tags;
    }

    /// <summary>A batch without rows and fields.</summary>
    public static BatchMeta Empty { get; } = new([], default, [], [], [], null);

    /// <summary>Number of rows B.</summary>
    public int Size => GlobalIndexes.Length;

    /// <summary>Global indexes int64[B]; a row may appear more than once.</summary>
    public ImmutableArray<long> GlobalIndexes { get; }

    /// <summary>Generations uint32[B], 0 = unchecked; default: all unchecked.</summary>
    public ImmutableArray<uint> Generations { get; }

    /// <summary>The rows' partitions, run-length encoded; neighbouring runs differ.</summary>
    public ImmutableArray<PartitionRun> Partitions { get; }

    /// <summary>int8[B]: 1 where all fields of the row are there, else 0.</summary>
    public ImmutableArray<sbyte> ProductionStatus { get; }

    /// <summary>One schema per field, sorted by name (by code point); each name once.</summary>
    public ImmutableArray<FieldSchema> Fields { get; }

    /// <summary>The rows' tags, or null: all empty.</summary>
    public PackedTags? Tags { get; }

    /// <summary>Whether there are rows and all are ready.</summary>
    public bool IsReady => Size > 0 && !ProductionStatus.AsSpan().ContainsAnyExcept((sbyte)1);

    /// <summary>Makes a batch; brings runs, generations and tags into their shortest form and sorts the fields.</summary>
    /// <param name="globalIndexes">int64[B].</param>
    /// <param name="partitions">Runs of B rows.</param>
    /// <param name="fields">In any order; each name once; sizes for B rows.</param>
    /// <param name="productionStatus">int8[B], 0 or 1; default: all 0.</param>
    /// <param name="generations">uint32[B]; default: all unchecked.</param>
    /// <param name="tags">Of B rows; null: all empty.</param>
    /// <exception cref="InvalidArgumentException">A length is not B's, a field comes twice, a status is neither 0 nor 1.</exception>
    public static BatchMeta Create(
        ImmutableArray<long> globalIndexes, ImmutableArray<PartitionRun> partitions, ImmutableArray<FieldSchema> fields,
        ImmutableArray<sbyte> productionStatus = default, ImmutableArray<uint> generations = default, PackedTags? tags = null)
    {
        int size = globalIndexes.Length;
        var runs = new PartitionRuns.Builder();
        foreach (var run in partitions)
            runs.Add(run.Partition, run.Count);
        CheckLength(size, "partitions", PartitionRuns.Rows(partitions));
        if (productionStatus.IsDefault)
            productionStatus = [.. new sbyte[size]];
        CheckLength(size, "production status", productionStatus.Length);
        CheckLength(size, "generations", generations.IsDefault ? size : generations.Length);
        CheckLength(size, "tags", tags?.Rows ?? size);
        if (productionStatus.AsSpan().ContainsAnyExcept((sbyte)0, (sbyte)1))
            throw new InvalidArgumentException("batch: a production status that is neither 0 nor 1");
        return new BatchMeta(
            globalIndexes, Shortest(generations), runs.ToImmutable(), productionStatus, Sorted(fields, size), Shortest(tags));
    }

    private static ImmutableArray<FieldSchema> Sorted(ImmutableArray<FieldSchema> fields, int rows)
    {
        ImmutableArray<FieldSchema> fitting = [.. fields.Select(field => field.ForRows(rows))];
        var sorted = fitting.Sort((a, b) => CodePointOrder.Instance.Compare(a.Name, b.Name));
        for (int i = 1; i < sorted.Length; i++)
        {
            if (sorted[i].Name == sorted[i - 1].Name)
                throw new InvalidArgumentException($"batch: the field '{sorted[i].Name}' twice");
        }
        return sorted;
    }

    private static ImmutableArray<uint> Shortest(ImmutableArray<uint> generations) =>
        generations.IsDefault || generations.AsSpan().ContainsAnyExcept(0u) ? generations : default;

    private static PackedTags? Shortest(PackedTags? tags) => tags is { AllEmpty: false } ? tags : null;

    private static void CheckLength(int size, string what, long length)
    {
        if (length != size)
            throw new InvalidArgumentException($"batch of {size} rows: {what} of {length}");
    }
}

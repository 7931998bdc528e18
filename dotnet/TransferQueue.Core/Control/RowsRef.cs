using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>Which rows a request means: by key in one partition, by global index, or new ones. An immutable value.</summary>
internal sealed record RowsRef
{
    private RowsRef()
    {
    }

    /// <summary>The partitions of consecutive rows; their counts add up to <see cref="Count"/>.</summary>
    public required ImmutableArray<PartitionRun> Parts { get; init; }

    /// <summary>The rows' keys; default: not by key.</summary>
    public ImmutableArray<string> Keys { get; private init; }

    /// <summary>The rows' global indexes and generations; null: not by index.</summary>
    public RowSelection? Selection { get; private init; }

    /// <summary>Rows.</summary>
    public int Count { get; private init; }

    /// <summary>Rows by key.</summary>
    public static RowsRef ByKeys(string partition, ImmutableArray<string> keys) =>
        new() { Parts = [new(partition, keys.Length)], Keys = keys, Count = keys.Length };

    /// <summary>New rows without keys.</summary>
    /// <exception cref="InvalidArgumentException">A negative count.</exception>
    public static RowsRef New(string partition, int count) => count >= 0
        ? new() { Parts = [new(partition, count)], Count = count }
        : throw new InvalidArgumentException($"partition '{partition}': {count} new rows asked; ask for 0 or more");

    /// <summary>Rows by global index.</summary>
    /// <exception cref="InvalidArgumentException">The lengths disagree.</exception>
    public static RowsRef ByIndexes(RowSelection selection)
    {
        long named = 0;
        foreach (PartitionRun part in selection.Parts)
            named += part.Count >= 0 ? part.Count : throw new InvalidArgumentException($"partition '{part.Partition}': {part.Count} rows");
        if (named != selection.Rows)
            throw new InvalidArgumentException($"rows: {selection.Rows} indexes, but partitions for {named} rows; give one partition per row");
        if (!selection.Generations.IsDefault && selection.Generations.Length != selection.Rows)
            throw new InvalidArgumentException(
                $"rows: {selection.Rows} indexes, but {selection.Generations.Length} generations; give one per row, or none");
        return new() { Parts = selection.Parts, Selection = selection, Count = selection.Rows };
    }
}

using System.Collections.Immutable;

namespace TransferQueue.Columns;

/// <content>Batches of the same rows with other fields or tags.</content>
public sealed partial class BatchMeta
{
    /// <summary>The fields named; names that the batch does not have are ignored.</summary>
    public BatchMeta SelectFields(IEnumerable<string> names)
    {
        var wanted = names.ToHashSet();
        return new BatchMeta(
            GlobalIndexes, Generations, Partitions, ProductionStatus, Fields.RemoveAll(field => !wanted.Contains(field.Name)), Tags);
    }

    /// <summary>The same rows with more fields; one of a known name replaces it.</summary>
    /// <param name="fields">Each name once, sizes for B rows; none: the batch stays as it is.</param>
    /// <param name="setReady">Whether all rows are ready then.</param>
    /// <exception cref="InvalidArgumentException">A name comes twice, or sizes are not B rows'.</exception>
    public BatchMeta AddFields(ImmutableArray<FieldSchema> fields, bool setReady = true)
    {
        if (fields.IsEmpty)
            return this;
        var replaced = fields.Select(field => field.Name).ToHashSet();
        var all = Sorted(Fields.RemoveAll(field => replaced.Contains(field.Name)).AddRange(fields), Size);
        return new BatchMeta(GlobalIndexes, Generations, Partitions, setReady ? AllReady(Size) : ProductionStatus, all, Tags);
    }

    /// <summary>The same rows with other tags.</summary>
    /// <param name="tags">Of B rows; null: all empty.</param>
    /// <exception cref="InvalidArgumentException">They are not B rows'.</exception>
    public BatchMeta WithTags(PackedTags? tags)
    {
        CheckLength(Size, "tags", tags?.Rows ?? Size);
        return new BatchMeta(GlobalIndexes, Generations, Partitions, ProductionStatus, Fields, Shortest(tags));
    }

    private static ImmutableArray<sbyte> AllReady(int rows)
    {
        var status = ImmutableArray.CreateBuilder<sbyte>(rows);
        status.Count = rows;
        for (int i = 0; i < rows; i++)
            status[i] = 1;
        return status.MoveToImmutable();
    }
}

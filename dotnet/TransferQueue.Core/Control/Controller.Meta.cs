using System.Collections.Immutable;
using System.Runtime.InteropServices;
using TransferQueue.Columns;

namespace TransferQueue.Control;

internal sealed partial class Controller
{
    private static readonly byte[] EmptyTag = TagCodec.Empty.ToArray();

    /// <summary>The batch of rows that are ready in all fields of a fetch.</summary>
    public BatchMeta FetchedMeta(IReadOnlyList<FoundRows> rows, ImmutableArray<string> fields) => Meta(rows, Sorted(fields), Filled(rows, 1));

    /// <summary>The batch of rows that were put: the fields that all of them have now.</summary>
    public BatchMeta PutMeta(IReadOnlyList<FoundRows> rows)
    {
        string[] fields = CommonFields(rows);
        return Meta(rows, fields, Filled(rows, fields.Length > 0 ? (sbyte)1 : (sbyte)0));
    }

    /// <summary>The batch of new rows, none of them ready, with what is known of the fields they are to get.</summary>
    public BatchMeta InsertMeta(IReadOnlyList<FoundRows> rows, ImmutableArray<string> fields)
    {
        var schemas = Sorted(fields).Select(name => FieldSchema.Unknown(name) with { DType = rows.Count == 0 ? null : rows[0].Partition.Field(name)?.DType });
        return Meta(rows, [.. schemas], Filled(rows, 0));
    }

    /// <summary>The batch of all rows of a partition, ready or not, consumed or not, in ascending order of their indexes.</summary>
    /// <param name="name">The partition; an unknown one gives an empty batch.</param>
    /// <param name="fields">The fields, default: all that the partition knows; a row is ready if it has all of those that the partition knows, and there is one.</param>
    public BatchMeta ForceFetch(string name, ImmutableArray<string> fields)
    {
        if (Find(name) is not { } partition)
            return BatchMeta.Empty;
        FoundRows rows = new(partition, partition.SlotsByIndex(), 0);
        if (fields.IsDefault)
            fields = [.. partition.Fields.Select(field => field.Name)];
        string[] known = [.. Sorted(fields).Where(field => partition.Field(field) is not null)];
        var status = new sbyte[rows.Slots.Length];
        for (int i = 0; i < status.Length; i++)
            status[i] = known.Length > 0 && known.All(field => partition.Field(field)!.Ready[rows.Slots[i]]) ? (sbyte)1 : (sbyte)0;
        return Meta([rows], known, ImmutableCollectionsMarshal.AsImmutableArray(status));
    }

    /// <summary>The batch of the rows of those keys that there are, in the order of the keys: the fields that all of them have.</summary>
    public BatchMeta KeysMeta(string name, ImmutableArray<string> keys) =>
        Find(name) is { } partition
            ? PutMeta([new FoundRows(partition, KnownSlots(partition, keys), 0)])
            : BatchMeta.Empty;

    /// <summary>The rows' tags, packed back to back.</summary>
    public static ReadOnlyMemory<byte> Tags(IReadOnlyList<FoundRows> rows)
    {
        if (rows is [{ Slots: [int one] } only])
            return only.Partition.Tag(one) ?? EmptyTag;
        long bytes = 0;
        foreach (FoundRows part in rows)
        {
            foreach (int slot in part.Slots)
                bytes += part.Partition.Tag(slot)?.Length ?? TagCodec.Empty.Length;
        }
        byte[] tags = new byte[bytes];
        Span<byte> rest = tags;
        foreach (FoundRows part in rows)
        {
            foreach (int slot in part.Slots)
            {
                ReadOnlySpan<byte> tag = part.Partition.Tag(slot) ?? EmptyTag;
                tag.CopyTo(rest);
                rest = rest[tag.Length..];
            }
        }
        return tags;
    }

    private BatchMeta Meta(IReadOnlyList<FoundRows> rows, string[] fields, ImmutableArray<sbyte> status) =>
        Meta(rows, [.. fields.Select(name => Schema(name, rows))], status);

    private BatchMeta Meta(IReadOnlyList<FoundRows> rows, ImmutableArray<FieldSchema> fields, ImmutableArray<sbyte> status)
    {
        int count = status.Length;
        var indexes = new long[count];
        var generations = new uint[count];
        List<PartitionRun> parts = [];
        bool tagged = false;
        int row = 0;
        foreach (FoundRows part in rows)
        {
            foreach (int slot in part.Slots)
            {
                indexes[row] = part.Partition.Index(slot);
                generations[row] = _pool.Generation(indexes[row]);
                tagged |= part.Partition.Tag(slot) is not null;
                row++;
            }
            if (part.Slots.Length > 0)
                parts.Add(new PartitionRun(part.Partition.Name, part.Slots.Length));
        }
        return BatchMeta.Create(
            ImmutableCollectionsMarshal.AsImmutableArray(indexes),
            [.. parts],
            fields,
            status,
            ImmutableCollectionsMarshal.AsImmutableArray(generations),
            tagged ? PackedTags.Parse(Tags(rows), count) : null);
    }

    private static FieldSchema Schema(string name, IReadOnlyList<FoundRows> rows)
    {
        SchemaRuns runs = new();
        foreach (FoundRows part in rows)
            runs.Add(part.Partition.Field(name), part.Slots);
        return BatchSchema.Of(name, runs);
    }

    private static string[] Sorted(ImmutableArray<string> fields)
    {
        string[] sorted = fields.IsDefault ? [] : [.. fields.Distinct()];
        Array.Sort(sorted, CodePointOrder.Instance);
        return sorted;
    }

    private static ImmutableArray<sbyte> Filled(IReadOnlyList<FoundRows> rows, sbyte value)
    {
        var status = new sbyte[rows.Sum(part => part.Slots.Length)];
        status.AsSpan().Fill(value);
        return ImmutableCollectionsMarshal.AsImmutableArray(status);
    }
}

using TransferQueue.Columns;
using TransferQueue.Protocol;
using TransferQueue.Tests.Memory;
using Xunit;

namespace TransferQueue.Tests.Columns;

/// <summary>The point of the structure of arrays: no operation's memory grows with rows × fields.</summary>
public sealed class BatchMetaAllocationTests
{
    private static readonly int[] Rows = [64, 1024, 65536];
    private static readonly int[] Fields = [1, 8, 64];

    public static TheoryData<string> Operations => [.. ByName.Keys];

    private static Dictionary<string, Action<BatchMeta>> ByName { get; } = new()
    {
        ["select rows"] = batch => batch.SelectRows(Backwards(batch)),
        ["select fields"] = batch => batch.SelectFields(batch.Fields.Select(field => field.Name)),
        ["chunk"] = batch => batch.Chunk(2),
        ["chunk by partition"] = batch => batch.ChunkByPartition(),
        ["concat"] = batch => BatchMeta.Concat([batch, batch]),
        ["union"] = batch => batch.Union(batch),
        ["reorder"] = batch => batch.Reorder(Backwards(batch)),
        ["add fields"] = batch => batch.AddFields(batch.Fields),
        ["with tags"] = batch => batch.WithTags(batch.Tags),
        ["pack"] = batch => BatchMetaCodec.Pack(batch),
        ["unpack"] = batch => BatchMetaCodec.Unpack(BatchMetaCodec.Pack(batch)),
    };

    [Theory]
    [MemberData(nameof(Operations))]
    public void MemoryGrowsWithRowsPlusFields(string operation)
    {
        const long Fixed = 20_000, PerRow = 120, PerField = 2_000;
        var allocated = Rows.ToDictionary(rows => rows, rows => Fields.ToDictionary(fields => fields, fields => Allocated(operation, rows, fields)));
        foreach (int rows in Rows)
        {
            foreach (int fields in Fields)
                Assert.InRange(allocated[rows][fields], 0, Fixed + PerRow * rows + PerField * fields);
        }
        // What 63 more fields cost does not depend on the rows: at 65536 rows a byte per cell would be 4 MB.
        long few = allocated[Rows[0]][Fields[^1]] - allocated[Rows[0]][Fields[0]];
        long many = allocated[Rows[^1]][Fields[^1]] - allocated[Rows[^1]][Fields[0]];
        Assert.InRange(many - few, -Fixed, Fixed);
    }

    private static long Allocated(string operation, int rows, int fields)
    {
        var batch = Batch(rows, fields);
        return ThreadAllocations.By(() => ByName[operation](batch));
    }

    private static BatchMeta Batch(int rows, int fields) => BatchMeta.Create(
        [.. Enumerable.Range(0, rows).Select(row => (long)row)],
        [new("p", rows / 2), new("q", rows - rows / 2)],
        [.. Enumerable.Range(0, fields).Select(field => new FieldSchema($"field {field}", DType.Float32, [8, 8192], false, false))],
        tags: PackedTags.Parse(Enumerable.Repeat(new byte[] { 0x81, 0xA1, (byte)'s', 1 }, rows).SelectMany(tag => tag).ToArray(), rows));

    private static long[] Backwards(BatchMeta batch)
    {
        var order = new long[batch.Size];
        for (int i = 0; i < order.Length; i++)
            order[i] = order.Length - 1 - i;
        return order;
    }
}

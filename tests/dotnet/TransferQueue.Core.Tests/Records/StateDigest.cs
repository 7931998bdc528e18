using System.Text;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Memory;
using TransferQueue.Records;
using TransferQueue.Sampling;

namespace TransferQueue.Tests.Records;

/// <summary>Everything that can be seen of a state, as text: two equal texts are equal states.</summary>
internal static unsafe class StateDigest
{
    public static string Of(StateMachine state)
    {
        StringBuilder text = new();
        Controller controller = state.Controller;
        text.AppendLine($"next {controller.Pool.Next} free {string.Join(' ', controller.Pool.FreeRuns)}");
        text.AppendLine($"generations {string.Join(' ', Enumerable.Range(0, (int)controller.Pool.Next).Select(i => controller.Pool.Generation(i)))}");
        foreach (Partition partition in controller.Partitions)
            Append(text, state, partition);
        return text.ToString();
    }

    private static void Append(StringBuilder text, StateMachine state, Partition partition)
    {
        text.AppendLine($"partition {partition.Name} version {partition.Version} rows {partition.RowCount} stored {partition.StoredCount} waiting {partition.PreAllocatedCount} ");
        foreach (CachedBatch batch in partition.Samples.Batches.OrderBy(batch => batch.Key.ToString(), StringComparer.Ordinal))
            text.AppendLine($"batch {batch.Key} taken {batch.IsTaken} rows {string.Join(' ', batch.Rows)} generations {string.Join(' ', batch.Generations)}");
        PartitionListing listing = partition.List();
        text.AppendLine($"keys {string.Join('|', listing.Keys.Unpack())} tags {Convert.ToHexString(listing.Tags.Span)}");
        string[] fields = [.. partition.Fields.Select(field => field.Name).Order(StringComparer.Ordinal)];
        string[] tasks = [.. partition.Tasks.Keys.Order(StringComparer.Ordinal)];
        foreach (string name in fields)
        {
            FieldState field = partition.Field(name)!;
            text.AppendLine($"field {name} {field.DType} ready {field.ReadyCount} segments {field.Map.SegmentCount}");
        }
        foreach (int slot in partition.SlotsByIndex())
        {
            text.Append($"row {partition.Index(slot)} slot {slot} key {partition.Key(slot)} tag {Hex(partition.Tag(slot))}");
            foreach (string name in fields)
                text.Append($" {name}={Cell(state, partition.Field(name)!, slot)}");
            foreach (string task in tasks)
                text.Append(partition.Task(task)!.Consumed[slot] ? $" consumed:{task}" : "");
            text.AppendLine();
        }
        BatchMeta meta = state.Controller.ForceFetch(partition.Name, [.. fields]);
        foreach (FieldSchema schema in meta.Fields)
            text.AppendLine($"schema {schema.Name} {schema.DType} [{string.Join(',', schema.Shape.IsDefault ? [] : schema.Shape)}] {schema.IsNested} {schema.IsNonTensor} sizes {(schema.Sizes.IsDefault ? "-" : string.Join(',', schema.Sizes))}");
        text.AppendLine($"status {string.Join(',', meta.ProductionStatus)}");
    }

    private static string Cell(StateMachine state, FieldState field, int slot)
    {
        if (!field.Ready[slot])
            return "-";
        List<ColumnRun> runs = [];
        field.Map.CollectRuns([slot], runs, []);
        StoredColumn column = runs[0].Column;
        NativeSegment bytes = state.Storage.Segment(column);
        int row = runs[0].First;
        long unit = column.Layout.UnitBytes, from = row * unit, to = from + unit;
        if (column.Layout.HasOffsets)
        {
            long start = column.Layout.ValuesStart(column.Rows);
            (from, to) = (start + ((long*)bytes.Pointer)[row] * unit, start + ((long*)bytes.Pointer)[row + 1] * unit);
        }
        return $"{column.Layout}:{Convert.ToHexString(new ReadOnlySpan<byte>(bytes.Pointer + from, (int)(to - from)))}";
    }

    private static string Hex(byte[]? tag) => tag is null ? "-" : Convert.ToHexString(tag);
}

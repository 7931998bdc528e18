using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>Rows go, by key; keys that there are not are left out.</summary>
/// <param name="partition">Their partition.</param>
/// <param name="keys">The keys.</param>
internal sealed class ClearKeysRecord(string partition, ImmutableArray<string> keys) : Record<int, List<ClearPlan>>
{
    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.ClearKeys;

    internal static ClearKeysRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 2);
        return new ClearKeysRecord(RecordReader.Text(ref reader), RecordReader.List(ref reader, RecordReader.Text));
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(2);
        writer.Write(partition);
        RecordWriter.Texts(ref writer, keys);
    }

    private protected override List<ClearPlan> PlanChange(Controller controller, StorageManager storage) =>
        controller.PlanClearKeys(partition, keys) is { } plan ? [plan] : [];

    private protected override int CommitChange(Controller controller, StorageManager storage, List<ClearPlan> plan)
    {
        List<StoredColumn> released = [];
        int rows = controller.CommitClear(plan, released);
        storage.CommitRelease(released);
        return rows;
    }
}

/// <summary>Rows go, by index; rows that were cleared before, also if their index has a new owner, are left out.</summary>
/// <param name="rows">The rows.</param>
internal sealed class ClearRowsRecord(RowSelection rows) : Record<int, List<ClearPlan>>
{
    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.ClearRows;

    internal static ClearRowsRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 1);
        return new ClearRowsRecord(RecordReader.Selection(ref reader));
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(1);
        RecordWriter.Selection(ref writer, rows);
    }

    private protected override List<ClearPlan> PlanChange(Controller controller, StorageManager storage) => controller.PlanClearRows(rows);

    private protected override int CommitChange(Controller controller, StorageManager storage, List<ClearPlan> plan)
    {
        List<StoredColumn> released = [];
        int count = controller.CommitClear(plan, released);
        storage.CommitRelease(released);
        return count;
    }
}

/// <summary>A partition goes with all its rows; it leaves the list.</summary>
/// <param name="partition">Its name.</param>
internal sealed class ClearPartitionRecord(string partition) : Record<bool, string>
{
    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.ClearPartition;

    internal static ClearPartitionRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 1);
        return new ClearPartitionRecord(RecordReader.Text(ref reader));
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(1);
        writer.Write(partition);
    }

    private protected override string PlanChange(Controller controller, StorageManager storage) => partition;

    private protected override bool CommitChange(Controller controller, StorageManager storage, string plan)
    {
        List<StoredColumn> released = [];
        bool found = controller.CommitClearPartition(plan, released);
        storage.CommitRelease(released);
        return found;
    }
}

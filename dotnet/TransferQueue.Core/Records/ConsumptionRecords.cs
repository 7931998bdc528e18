using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Sampling;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>Rows were handed to a task: which ones the sampler picked is in the record, so that a replay asks no sampler.</summary>
/// <param name="partition">The partition.</param>
/// <param name="task">The task.</param>
/// <param name="rows">The rows that are consumed now; may be none.</param>
/// <param name="batches">The batches that the sampler has fixed thereby.</param>
internal sealed class FetchRecord(string partition, string task, RowSelection rows, ImmutableArray<CachedBatch> batches)
    : Record<bool, PlannedRows[]>
{
    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.Fetch;

    internal static FetchRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 4);
        string partition = RecordReader.Text(ref reader), task = RecordReader.Text(ref reader);
        RowSelection rows = RecordReader.Selection(ref reader);
        return new FetchRecord(partition, task, rows, RecordReader.List(ref reader, RecordReader.Batch));
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(4);
        writer.Write(partition);
        writer.Write(task);
        RecordWriter.Selection(ref writer, rows);
        writer.WriteArrayHeader(batches.Length);
        foreach (CachedBatch batch in batches)
            RecordWriter.Batch(ref writer, batch);
    }

    private protected override PlannedRows[] PlanChange(Controller controller, StorageManager storage) => controller.PlanConsume(task, rows);

    private protected override bool CommitChange(Controller controller, StorageManager storage, PlannedRows[] plan)
    {
        controller.CommitConsume(partition, task, plan, batches);
        return true;
    }
}

/// <summary>What a task, or every task, has consumed of a partition is forgotten.</summary>
/// <param name="partition">The partition.</param>
/// <param name="task">The task; null: all.</param>
internal sealed class ResetConsumptionRecord(string partition, string? task) : Record<bool, string>
{
    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.ResetConsumption;

    internal override IEnumerable<string> Wakes => [partition];

    internal static ResetConsumptionRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 2);
        return new ResetConsumptionRecord(RecordReader.Text(ref reader), reader.ReadString());
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(2);
        writer.Write(partition);
        writer.Write(task);
    }

    private protected override string PlanChange(Controller controller, StorageManager storage) => partition;

    private protected override bool CommitChange(Controller controller, StorageManager storage, string plan) => controller.CommitReset(plan, task);
}

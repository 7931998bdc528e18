using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>New rows without key, none of them ready.</summary>
/// <param name="partition">Their partition; it is made if there is none.</param>
/// <param name="count">How many, ≥ 0.</param>
internal sealed class InsertRecord(string partition, int count) : Record<FoundRows[], PlannedRows[]>
{
    private readonly RowsRef _rows = RowsRef.New(partition, count);

    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.Insert;

    internal static InsertRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 2);
        return new InsertRecord(RecordReader.Text(ref reader), reader.ReadInt32());
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(2);
        writer.Write(_rows.Parts[0].Partition);
        writer.Write(_rows.Count);
    }

    private protected override PlannedRows[] PlanChange(Controller controller, StorageManager storage) => controller.PlanRows(_rows);

    private protected override FoundRows[] CommitChange(Controller controller, StorageManager storage, PlannedRows[] plan) =>
        controller.CommitRows(plan, _rows);
}

/// <summary>Rows for keys: those that don't exist are made, without cells.</summary>
/// <param name="partition">Their partition; it is made if there is none.</param>
/// <param name="keys">The keys, distinct.</param>
internal sealed class CreateKeysRecord(string partition, ImmutableArray<string> keys) : Record<FoundRows[], PlannedRows[]>
{
    private readonly RowsRef _rows = RowsRef.ByKeys(partition, keys);

    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.CreateKeys;

    internal static CreateKeysRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 2);
        return new CreateKeysRecord(RecordReader.Text(ref reader), RecordReader.List(ref reader, RecordReader.Text));
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(2);
        writer.Write(_rows.Parts[0].Partition);
        RecordWriter.Texts(ref writer, _rows.Keys);
    }

    private protected override PlannedRows[] PlanChange(Controller controller, StorageManager storage) => controller.PlanRows(_rows);

    private protected override FoundRows[] CommitChange(Controller controller, StorageManager storage, PlannedRows[] plan) =>
        controller.CommitRows(plan, _rows);
}

/// <summary>Tags of rows are merged with what there is, or replaced.</summary>
/// <param name="rows">The rows, each at most once.</param>
/// <param name="tags">One tag per row.</param>
/// <param name="replace">Whether the old tag goes.</param>
internal sealed class SetTagsRecord(RowSelection rows, PackedTags tags, bool replace) : Record<bool, PlannedRows[]>
{
    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.SetTags;

    internal override IEnumerable<string> Wakes => rows.Parts.Select(part => part.Partition).Distinct();

    internal static SetTagsRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 3);
        RowSelection rows = RecordReader.Selection(ref reader);
        return new SetTagsRecord(rows, RecordReader.Tags(ref reader, rows.Rows)!, reader.ReadBoolean());
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(3);
        RecordWriter.Selection(ref writer, rows);
        RecordWriter.Tags(ref writer, tags);
        writer.Write(replace);
    }

    private protected override PlannedRows[] PlanChange(Controller controller, StorageManager storage) => controller.PlanTags(rows, tags);

    private protected override bool CommitChange(Controller controller, StorageManager storage, PlannedRows[] plan)
    {
        controller.CommitTags(plan, tags, replace);
        return true;
    }
}

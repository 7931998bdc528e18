using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>Columns and tags of rows become visible; rows that don't exist are made.</summary>
/// <param name="spec">What, and where the bytes already lie.</param>
internal sealed class PutRecord(PutSpec spec) : Record<FoundRows[], PutPlan>
{
    /// <summary>What the put does.</summary>
    public PutSpec Spec { get; } = spec;

    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.Put;

    internal override IEnumerable<string> Wakes => Spec.Rows.Parts.Select(part => part.Partition).Distinct();

    internal static PutRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 3);
        RowsRef rows = RecordReader.Rows(ref reader);
        PackedTags? tags = RecordReader.Tags(ref reader, rows.Count);
        return new PutRecord(new PutSpec(rows, tags, RecordReader.List(ref reader, ReadColumn)));
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        writer.WriteArrayHeader(3);
        RecordWriter.Rows(ref writer, Spec.Rows);
        RecordWriter.Tags(ref writer, Spec.Tags);
        writer.WriteArrayHeader(Spec.Columns.Length);
        foreach (PutColumn column in Spec.Columns)
            WriteColumn(ref writer, column);
    }

    private protected override PutPlan PlanChange(Controller controller, StorageManager storage)
    {
        PutPlan plan = controller.PlanPut(Spec);
        storage.CheckRows(controller.StoredCount, plan.RowsGained);
        return plan;
    }

    private protected override FoundRows[] CommitChange(Controller controller, StorageManager storage, PutPlan plan)
    {
        List<StoredColumn> released = [];
        FoundRows[] rows = controller.CommitPut(plan, released);
        storage.CommitRelease(released);
        return rows;
    }

    private static PutColumn ReadColumn(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 5);
        string name = RecordReader.Text(ref reader);
        var kind = (ColumnKind)reader.ReadByte();
        var dtype = (DType)reader.ReadSByte();
        ColumnLayout layout = new(kind, dtype, RecordReader.List(ref reader, (ref MessagePackReader r) => r.ReadInt64()));
        return new PutColumn(name, layout, RecordReader.List(ref reader, (ref MessagePackReader r) => ReadSlice(ref r, layout)));
    }

    internal static StoredColumn ReadSlice(ref MessagePackReader reader, ColumnLayout layout)
    {
        RecordReader.Array(ref reader, 7);
        int rows = reader.ReadInt32(), unit = reader.ReadInt32(), segment = reader.ReadInt32();
        ExtentRef extent = new(segment, reader.ReadInt64(), reader.ReadInt64(), reader.ReadUInt32());
        return new StoredColumn(layout, rows, extent, unit, reader.TryReadNil() ? null : [.. RecordReader.Numbers<int>(ref reader)]);
    }

    private static void WriteColumn(ref MessagePackWriter writer, PutColumn column)
    {
        writer.WriteArrayHeader(5);
        writer.Write(column.Name);
        writer.Write((byte)column.Layout.Kind);
        writer.Write((sbyte)column.Layout.DType);
        ImmutableArray<long> shape = column.Layout.Shape.IsDefault ? [] : column.Layout.Shape;
        writer.WriteArrayHeader(shape.Length);
        foreach (long extent in shape)
            writer.Write(extent);
        writer.WriteArrayHeader(column.Slices.Length);
        foreach (StoredColumn slice in column.Slices)
            WriteSlice(ref writer, slice);
    }

    internal static void WriteSlice(ref MessagePackWriter writer, StoredColumn slice)
    {
        writer.WriteArrayHeader(7);
        writer.Write(slice.Rows);
        writer.Write(slice.Unit);
        writer.Write(slice.Extent.Segment);
        writer.Write(slice.Extent.Offset);
        writer.Write(slice.Extent.Length);
        writer.Write(slice.Extent.Epoch);
        if (slice.Sizes is null)
            writer.WriteNil();
        else
            RecordWriter.Numbers<int>(ref writer, slice.Sizes);
    }
}

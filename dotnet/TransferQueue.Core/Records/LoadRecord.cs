using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Sampling;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>A checkpoint was loaded: everything that there was gives way to it, in one step.</summary>
/// <param name="image">What there is from now on; its columns lie in extents that belong to this record.</param>
/// <param name="floor">The generation of indexes that are given out from now on.</param>
internal sealed class LoadRecord(ControllerImage image, uint floor) : Record<long, LoadedState>
{
    private LoadedState? _built;

    /// <inheritdoc/>
    public override RecordKind Kind => RecordKind.Load;

    /// <summary>The sampler that remembers what is loaded: the one that picks then must still be it. Null: whichever does. Not written.</summary>
    public ISampler? Sampler { get; init; }

    internal override IEnumerable<string> Wakes => image.Partitions.Select(partition => partition.Name);

    /// <summary>Builds the state, which takes time, so that the commit need not. Any one thread.</summary>
    /// <param name="clock">The controller's <see cref="Controller.NextClock"/>.</param>
    public void Prepare(long clock) => _built = Controller.Build(image, floor, clock);

    internal static LoadRecord Read(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 3);
        uint floor = reader.ReadUInt32();
        ImmutableArray<StoredColumn> columns = RecordReader.List(ref reader, ReadColumn);
        var sections = new ImageReader([.. columns.Select(column => new ColumnBlock(column))]);
        for (int left = reader.ReadArrayHeader(); left > 0; left--)
            sections.Add(System.Buffers.BuffersExtensions.ToArray(reader.ReadBytes() ?? throw new ProtocolException("record: nil where a section belongs")));
        return new LoadRecord(sections.Finish(), floor);
    }

    internal override void Write(ref MessagePackWriter writer)
    {
        List<ColumnBlock> blocks = image.Blocks();
        writer.WriteArrayHeader(3);
        writer.Write(floor);
        writer.WriteArrayHeader(blocks.Count);
        foreach (ColumnBlock block in blocks)
            WriteColumn(ref writer, block.Column);
        List<byte[]> sections = [.. new ImageWriter(ImageWriter.Number(blocks)).Write(image).Select(section => section.ToArray())];
        writer.WriteArrayHeader(sections.Count);
        foreach (byte[] section in sections)
            writer.Write(section);
    }

    private protected override LoadedState PlanChange(Controller controller, StorageManager storage)
    {
        if (Sampler is not null && Sampler != controller.Sampler)
            throw new SamplerException(
                $"sampler {Sampler.Name}: another one, {controller.SamplerName}, was registered while a checkpoint with what it remembered was loaded; nothing has changed, load again");
        if (_built is null)
            Prepare(controller.NextClock);
        storage.CheckRows(0, checked((int)_built!.StoredCount));
        return _built;
    }

    private protected override long CommitChange(Controller controller, StorageManager storage, LoadedState plan)
    {
        List<StoredColumn> released = [];
        IReadOnlyCollection<Partition> before = controller.CommitLoad(plan);
        storage.CommitAbandon(before.SelectMany(partition => partition.Abandon(released)), released);
        return controller.RowCount;
    }

    private static StoredColumn ReadColumn(ref MessagePackReader reader)
    {
        RecordReader.Array(ref reader, 4);
        var kind = (ColumnKind)reader.ReadByte();
        var dtype = (DType)reader.ReadSByte();
        return PutRecord.ReadSlice(ref reader, new ColumnLayout(kind, dtype, RecordReader.List(ref reader, (ref MessagePackReader r) => r.ReadInt64())));
    }

    private static void WriteColumn(ref MessagePackWriter writer, StoredColumn column)
    {
        writer.WriteArrayHeader(4);
        writer.Write((byte)column.Layout.Kind);
        writer.Write((sbyte)column.Layout.DType);
        writer.WriteArrayHeader(column.Layout.Rank);
        foreach (long extent in column.Layout.Shape.AsSpan())
            writer.Write(extent);
        PutRecord.WriteSlice(ref writer, column);
    }
}

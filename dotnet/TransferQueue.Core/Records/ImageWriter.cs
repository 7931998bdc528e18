using System.Buffers;
using MessagePack;
using TransferQueue.Control;
using TransferQueue.Sampling;

namespace TransferQueue.Records;

/// <summary>The kind of a section of a written image: never renumbered.</summary>
internal enum ImageSection
{
    /// <summary>[next, free stretches]: the pool. The first section.</summary>
    Pool = 1,

    /// <summary>[generations]: a part of them, in order.</summary>
    Generations = 2,

    /// <summary>[name]: a partition begins.</summary>
    Partition = 3,

    /// <summary>[indexes, keys, tags]: the next rows of the partition.</summary>
    Rows = 4,

    /// <summary>[rows]: the order of the keys, a part.</summary>
    KeyOrder = 5,

    /// <summary>[name, first rows, counts, columns, first rows in the column]: cells of a field; with the same name as before: more of them.</summary>
    Field = 6,

    /// <summary>[name, first rows, counts]: what a task has consumed; with the same name as before: more of it.</summary>
    Task = 7,

    /// <summary>[rows]: rows that wait for an owner.</summary>
    PreAllocated = 8,

    /// <summary>[batch]: one that the sampler has fixed.</summary>
    Batch = 9,

    /// <summary>[partitions]: how many there were. The last section.</summary>
    End = 10,
}

/// <summary>Writes a controller's image as sections of bounded size, each an array that begins with its kind. Numbers are little-endian in bulk.</summary>
/// <param name="columns">The number of each block.</param>
internal sealed class ImageWriter(IReadOnlyDictionary<ColumnBlock, int> columns)
{
    /// <summary>Rows, or stretches of them, in one section.</summary>
    private const int PartRows = 1 << 16;

    private readonly ArrayBufferWriter<byte> _buffer = new();

    private delegate void Content(ref MessagePackWriter writer);

    /// <summary>Numbers an image's blocks.</summary>
    public static Dictionary<ColumnBlock, int> Number(IEnumerable<ColumnBlock> blocks)
    {
        Dictionary<ColumnBlock, int> numbers = new(ReferenceEqualityComparer.Instance);
        foreach (ColumnBlock block in blocks)
            numbers.Add(block, numbers.Count);
        return numbers;
    }

    /// <summary>The sections; each is valid until the next one is asked for.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> Write(ControllerImage image)
    {
        long[] free = [.. image.Pool.Free.SelectMany(run => new[] { run.Start, run.Count })];
        yield return Section(ImageSection.Pool, 2, (ref MessagePackWriter writer) =>
        {
            writer.Write(image.Pool.Next);
            RecordWriter.Numbers<long>(ref writer, free);
        });
        foreach (var (from, count) in Parts(image.Pool.Generations.Length))
            yield return Section(ImageSection.Generations, 1, (ref MessagePackWriter writer) => RecordWriter.Numbers<uint>(ref writer, image.Pool.Generations.AsSpan(from, count)));
        foreach (ReadOnlyMemory<byte> section in image.Partitions.SelectMany(Write))
            yield return section;
        yield return Section(ImageSection.End, 1, (ref MessagePackWriter writer) => writer.Write(image.Partitions.Length));
    }

    private IEnumerable<ReadOnlyMemory<byte>> Write(PartitionImage partition)
    {
        yield return Section(ImageSection.Partition, 1, (ref MessagePackWriter writer) => writer.Write(partition.Name));
        foreach (var (from, count) in Parts(partition.Indexes.Length))
            yield return Section(ImageSection.Rows, 3, (ref MessagePackWriter writer) => WriteRows(ref writer, partition, from, count));
        foreach (var (from, count) in Parts(partition.KeyOrder.Length))
            yield return Section(ImageSection.KeyOrder, 1, (ref MessagePackWriter writer) => RecordWriter.Numbers<int>(ref writer, partition.KeyOrder.AsSpan(from, count)));
        foreach (FieldImage field in partition.Fields)
        {
            foreach (var (from, count) in Parts(field.Cells.Length, atLeastOne: true))
                yield return Section(ImageSection.Field, 5, (ref MessagePackWriter writer) => WriteCells(ref writer, field, from, count));
        }
        foreach (TaskImage task in partition.Tasks)
        {
            foreach (var (from, count) in Parts(task.Consumed.Length, atLeastOne: true))
                yield return Section(ImageSection.Task, 3, (ref MessagePackWriter writer) => WriteConsumed(ref writer, task, from, count));
        }
        if (partition.PreAllocated.Length > 0)
            yield return Section(ImageSection.PreAllocated, 1, (ref MessagePackWriter writer) => RecordWriter.Numbers<int>(ref writer, partition.PreAllocated));
        foreach (CachedBatch batch in partition.Batches)
            yield return Section(ImageSection.Batch, 1, (ref MessagePackWriter writer) => RecordWriter.Batch(ref writer, batch));
    }

    private static void WriteRows(ref MessagePackWriter writer, PartitionImage partition, int from, int count)
    {
        RecordWriter.Numbers<long>(ref writer, partition.Indexes.AsSpan(from, count));
        writer.WriteArrayHeader(count);
        foreach (string? key in partition.Keys.AsSpan(from, count))
            writer.Write(key);
        writer.WriteArrayHeader(count);
        foreach (byte[]? tag in partition.Tags.AsSpan(from, count))
        {
            if (tag is null)
                writer.WriteNil();
            else
                writer.Write(tag.AsSpan());
        }
    }

    private void WriteCells(ref MessagePackWriter writer, FieldImage field, int from, int count)
    {
        ArraySegment<Segment> cells = new(field.Cells, from, count);
        writer.Write(field.Name);
        RecordWriter.Numbers<int>(ref writer, cells.Select(run => run.Start).ToArray());
        RecordWriter.Numbers<int>(ref writer, cells.Select(run => run.Count).ToArray());
        RecordWriter.Numbers<int>(ref writer, cells.Select(run => columns[run.Block]).ToArray());
        RecordWriter.Numbers<int>(ref writer, cells.Select(run => run.First).ToArray());
    }

    private static void WriteConsumed(ref MessagePackWriter writer, TaskImage task, int from, int count)
    {
        ArraySegment<(int Start, int Count)> runs = new(task.Consumed, from, count);
        writer.Write(task.Name);
        RecordWriter.Numbers<int>(ref writer, runs.Select(run => run.Start).ToArray());
        RecordWriter.Numbers<int>(ref writer, runs.Select(run => run.Count).ToArray());
    }

    private static IEnumerable<(int From, int Count)> Parts(int length, bool atLeastOne = false)
    {
        if (length == 0 && atLeastOne)
            yield return (0, 0);
        for (int from = 0; from < length; from += PartRows)
            yield return (from, Math.Min(PartRows, length - from));
    }

    private ReadOnlyMemory<byte> Section(ImageSection kind, int values, Content content)
    {
        _buffer.ResetWrittenCount();
        var writer = new MessagePackWriter(_buffer);
        writer.WriteArrayHeader(values + 1);
        writer.Write((int)kind);
        content(ref writer);
        writer.Flush();
        return _buffer.WrittenMemory;
    }
}

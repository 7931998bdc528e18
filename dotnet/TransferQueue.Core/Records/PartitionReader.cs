using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Sampling;

namespace TransferQueue.Records;

/// <summary>Puts one partition of an image together; see <see cref="ImageReader"/>.</summary>
/// <param name="name">The partition.</param>
/// <param name="blocks">The blocks by number.</param>
internal sealed class PartitionReader(string name, IReadOnlyList<ColumnBlock> blocks)
{
    private readonly List<long> _indexes = [];
    private readonly List<string?> _keys = [];
    private readonly List<byte[]?> _tags = [];
    private readonly List<int> _keyOrder = [];
    private readonly OrderedDictionary<string, List<Segment>> _fields = [];
    private readonly OrderedDictionary<string, List<(int Start, int Count)>> _tasks = [];
    private readonly List<CachedBatch> _batches = [];
    private readonly HashSet<string> _seenKeys = [];
    private readonly HashSet<BatchKey> _seenBatches = [];
    private ImmutableArray<int> _preAllocated = [];

    /// <summary>The partition.</summary>
    public string Name => name;

    /// <summary>Takes a section.</summary>
    public void Add(ImageSection kind, ref MessagePackReader reader)
    {
        switch (kind)
        {
            case ImageSection.Rows:
                AddRows(ref reader);
                break;
            case ImageSection.KeyOrder:
                _keyOrder.AddRange(RecordReader.Numbers<int>(ref reader));
                break;
            case ImageSection.Field:
                AddCells(ref reader);
                break;
            case ImageSection.Task:
                AddConsumed(ref reader);
                break;
            case ImageSection.PreAllocated:
                _preAllocated = RecordReader.Numbers<int>(ref reader);
                break;
            default:
                AddBatch(ref reader);
                break;
        }
    }

    /// <summary>The partition, when all its sections were there.</summary>
    public PartitionImage Finish()
    {
        CheckRows(_keyOrder, "the order of the keys");
        CheckRows(_preAllocated, "the rows that wait for an owner");
        ImageReader.Require(_keyOrder.Count == _seenKeys.Count && _keyOrder.TrueForAll(row => _keys[row] is not null), $"partition '{name}': the order of its keys is not that of its keys");
        ImageReader.Require(_preAllocated.All(row => _keys[row] is null), $"partition '{name}': a row that waits for an owner has a key");
        return new PartitionImage(
            name, [.. _indexes], [.. _keys], [.. _tags], [.. _keyOrder], [.. _fields.Select(field => new FieldImage(field.Key, [.. field.Value]))],
            [.. _tasks.Select(task => new TaskImage(task.Key, [.. task.Value]))], [.. _preAllocated], [.. _batches]);
    }

    private void AddRows(ref MessagePackReader reader)
    {
        ImmutableArray<long> indexes = RecordReader.Numbers<long>(ref reader);
        _indexes.AddRange(indexes);
        RecordReader.Array(ref reader, indexes.Length);
        for (int i = 0; i < indexes.Length; i++)
        {
            string? key = reader.ReadString();
            ImageReader.Require(key is null || (!key.Contains('\0') && _seenKeys.Add(key)), $"partition '{name}': the key '{key}' comes twice, or can't be one");
            _keys.Add(key);
        }
        RecordReader.Array(ref reader, indexes.Length);
        for (int i = 0; i < indexes.Length; i++)
        {
            byte[]? tag = reader.TryReadNil() ? null : PackedTags.Parse(System.Buffers.BuffersExtensions.ToArray(reader.ReadBytes()!.Value), 1).Bytes.ToArray();
            _tags.Add(tag);
        }
    }

    private void AddCells(ref MessagePackReader reader)
    {
        string field = ImageReader.Name(ref reader);
        ImmutableArray<int> starts = RecordReader.Numbers<int>(ref reader), counts = RecordReader.Numbers<int>(ref reader);
        ImmutableArray<int> columns = RecordReader.Numbers<int>(ref reader), firsts = RecordReader.Numbers<int>(ref reader);
        ImageReader.Require(counts.Length == starts.Length && columns.Length == starts.Length && firsts.Length == starts.Length, $"field '{field}': cells that contradict each other");
        if (!_fields.TryGetValue(field, out List<Segment>? cells))
            _fields.Add(field, cells = []);
        for (int i = 0; i < starts.Length; i++)
        {
            ImageReader.Require((uint)columns[i] < (uint)blocks.Count, $"field '{field}': cells in a column that there is not");
            ColumnBlock block = blocks[columns[i]];
            Segment run = new(starts[i], counts[i], block, firsts[i]);
            CheckRun(run.Start, run.Count, cells.Count == 0 ? 0 : cells[^1].End, $"field '{field}'");
            ImageReader.Require(run.First >= 0 && run.First <= block.Column.Rows - run.Count, $"field '{field}': cells outside of their column");
            ImageReader.Require(cells.Count == 0 || cells[0].Block.Column.Layout.DType == block.Column.Layout.DType, $"field '{field}': cells of two element types");
            cells.Add(run);
        }
    }

    private void AddConsumed(ref MessagePackReader reader)
    {
        string task = ImageReader.Name(ref reader);
        ImmutableArray<int> starts = RecordReader.Numbers<int>(ref reader), counts = RecordReader.Numbers<int>(ref reader);
        ImageReader.Require(starts.Length == counts.Length, $"task '{task}': stretches that contradict each other");
        if (!_tasks.TryGetValue(task, out List<(int Start, int Count)>? runs))
            _tasks.Add(task, runs = []);
        for (int i = 0; i < starts.Length; i++)
        {
            CheckRun(starts[i], counts[i], runs.Count == 0 ? 0 : runs[^1].Start + runs[^1].Count, $"task '{task}'");
            runs.Add((starts[i], counts[i]));
        }
    }

    private void AddBatch(ref MessagePackReader reader)
    {
        CachedBatch batch = RecordReader.Batch(ref reader);
        ImageReader.Require(_seenBatches.Add(batch.Key) && batch.Generations.Length == batch.Rows.Length, $"partition '{name}': a batch that can't be");
        _batches.Add(batch);
    }

    /// <summary>A stretch must be ascending and inside of the rows, which come before.</summary>
    private void CheckRun(int start, int count, int from, string what) =>
        ImageReader.Require(start >= from && count > 0 && start <= _indexes.Count - count, $"partition '{name}', {what}: the rows {start} to {start + (long)count} of {_indexes.Count}");

    private void CheckRows(IReadOnlyList<int> rows, string what)
    {
        ReadinessBitmap seen = new();
        foreach (int row in rows)
            ImageReader.Require(row >= 0 && row < _indexes.Count && seen.Set(row), $"partition '{name}': {what} names the row {row} twice, or there is none");
    }
}

using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using MessagePack;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>Writes the map of a header, entry by entry; the number of entries is put in front at the end.</summary>
internal ref struct HeaderWriter
{
    /// <summary>What a map's one-byte head can count.</summary>
    private const int MostEntries = 15;

    /// <summary>Room that a longer header took is not kept.</summary>
    private const int MostKeptBytes = 1 << 20;

    /// <summary>The thread's room for a header, while no other one is being written.</summary>
    [ThreadStatic]
    private static ArrayBufferWriter<byte>? _kept;

    private readonly ArrayBufferWriter<byte> _buffer;
    private MessagePackWriter _writer;
    private int _entries;

    /// <summary>Begins a header.</summary>
    public HeaderWriter()
    {
        _buffer = _kept ?? new ArrayBufferWriter<byte>(256);
        _kept = null;
        _writer = new MessagePackWriter(_buffer);
        _writer.WriteMapHeader(0);
    }

    /// <summary>Ends the header and returns its bytes.</summary>
    internal ReadOnlyMemory<byte> Finish()
    {
        byte[] header = End().ToArray();
        Keep();
        return header;
    }

    /// <summary>Ends the header and appends it to <paramref name="destination"/>.</summary>
    internal void FinishTo(IBufferWriter<byte> destination)
    {
        destination.Write(End());
        Keep();
    }

    private ReadOnlySpan<byte> End()
    {
        _writer.Flush();
        MemoryMarshal.AsMemory(_buffer.WrittenMemory).Span[0] = (byte)(MessagePackCode.MinFixMap + _entries);
        return _buffer.WrittenSpan;
    }

    private readonly void Keep()
    {
        if (_buffer.Capacity > MostKeptBytes)
            return;
        _buffer.ResetWrittenCount();
        _kept = _buffer;
    }

    /// <summary>Writes an entry.</summary>
    internal void Entry(string key, long value)
    {
        Key(key);
        _writer.Write(value);
    }

    /// <summary>Writes an entry.</summary>
    internal void Entry(string key, bool value)
    {
        Key(key);
        _writer.Write(value);
    }

    /// <summary>Writes an entry, unless it is null.</summary>
    internal void Entry(string key, string? value)
    {
        if (value is null)
            return;
        Key(key);
        _writer.Write(value);
    }

    /// <summary>Writes an entry, unless it is null.</summary>
    internal void Entry(string key, ReadOnlyMemory<byte>? value)
    {
        if (value is not { } bytes)
            return;
        Key(key);
        _writer.Write(bytes.Span);
    }

    /// <summary>Writes names, unless they are default.</summary>
    internal void Entry(string key, ImmutableArray<string> names)
    {
        if (names.IsDefault)
            return;
        Key(key);
        _writer.WriteArrayHeader(names.Length);
        foreach (string name in names)
            _writer.Write(name);
    }

    /// <summary>Writes strings and nils.</summary>
    internal void Entry(string key, ReadOnlySpan<string?> texts)
    {
        Key(key);
        _writer.WriteArrayHeader(texts.Length);
        foreach (string? text in texts)
            _writer.Write(text);
    }

    /// <summary>Writes numbers as binary, unless they are default.</summary>
    internal void Numbers<T>(string key, ImmutableArray<T> numbers)
        where T : unmanaged
    {
        if (!numbers.IsDefault)
            Numbers(key, numbers.AsSpan());
    }

    /// <summary>Writes numbers as bytes.</summary>
    internal void Numbers<T>(string key, ReadOnlySpan<T> numbers)
        where T : unmanaged
    {
        Key(key);
        _writer.Write(MemoryMarshal.AsBytes(numbers));
    }

    /// <summary>Writes a map of integers and strings.</summary>
    internal void Entry(string key, IReadOnlyDictionary<string, object> map)
    {
        Key(key);
        _writer.WriteMapHeader(map.Count);
        foreach (var (name, value) in map)
        {
            _writer.Write(name);
            if (value is string text)
                _writer.Write(text);
            else
                _writer.Write(Convert.ToInt64(value));
        }
    }

    /// <summary>Writes a map of integers.</summary>
    internal void Entry(string key, IReadOnlyDictionary<string, long> map)
    {
        Key(key);
        _writer.WriteMapHeader(map.Count);
        foreach (var (name, value) in map)
        {
            _writer.Write(name);
            _writer.Write(value);
        }
    }

    /// <summary>Writes keys, unless they are default.</summary>
    internal void Keys(string key, ImmutableArray<string> keys)
    {
        if (keys.IsDefault)
            return;
        Key(key);
        Item(PackedKeys.Pack(keys.AsSpan()));
    }

    /// <summary>Writes runs of partitions.</summary>
    internal void Parts(string key, ImmutableArray<PartitionRun> parts)
    {
        Key(key);
        _writer.WriteArrayHeader(parts.Length);
        foreach (var run in parts)
        {
            _writer.WriteArrayHeader(2);
            _writer.Write(run.Partition);
            _writer.Write(run.Count);
        }
    }

    /// <summary>Writes parts, indexes and generations, unless null.</summary>
    internal void Selection(RowSelection? selection)
    {
        if (selection is null)
            return;
        Parts("parts", selection.Parts);
        Numbers("indexes", selection.Indexes);
        Numbers("generations", selection.Generations);
    }

    /// <summary>Writes the descriptors of a request's columns.</summary>
    internal void Entry(string key, ImmutableArray<ColumnDescriptor> columns)
    {
        Key(key);
        _writer.WriteArrayHeader(columns.Length);
        foreach (var column in columns)
        {
            _writer.WriteArrayHeader(4);
            _writer.Write(column.Name);
            _writer.Write((int)column.Layout.Kind);
            _writer.Write((int)column.Layout.DType);
            Shape(column.Layout.Shape.IsDefault ? [] : column.Layout.Shape);
        }
    }

    /// <summary>Writes the columns of a reply.</summary>
    internal void Entry(string key, ImmutableArray<ReplyColumn> columns)
    {
        Key(key);
        _writer.WriteArrayHeader(columns.Length);
        foreach (var column in columns)
        {
            _writer.WriteArrayHeader(column.Frames == 1 ? 3 : 4);
            _writer.Write(column.Name);
            _writer.Write((int)column.DType);
            _writer.WriteArrayHeader(column.Pieces.Length);
            foreach (var piece in column.Pieces)
                Item(piece);
            if (column.Frames > 1)
                _writer.Write(column.Frames);
        }
    }

    /// <summary>Writes segments of shared memory.</summary>
    internal void Entry(string key, ImmutableArray<SharedSegment> segments)
    {
        Key(key);
        _writer.WriteArrayHeader(segments.Length);
        foreach (var segment in segments)
        {
            _writer.WriteArrayHeader(2);
            _writer.Write(segment.Number);
            _writer.Write(segment.Length);
        }
    }

    /// <summary>Writes the schemas of a batch.</summary>
    internal void Fields(string key, ImmutableArray<FieldSchema> fields)
    {
        Key(key);
        _writer.WriteArrayHeader(fields.Length);
        foreach (var field in fields)
        {
            _writer.WriteArrayHeader(5);
            _writer.Write(field.Name);
            if (field.DType is { } dtype)
                _writer.Write((int)dtype);
            else
                _writer.WriteNil();
            Shape(field.Shape);
            _writer.Write(BatchMetaCodec.Flags(field));
            if (field.Sizes.IsDefault)
                _writer.WriteNil();
            else
                _writer.Write(MemoryMarshal.AsBytes(field.Sizes.AsSpan()));
        }
    }

    /// <summary>Writes what LIST tells of partitions.</summary>
    internal void Entry(string key, ImmutableArray<ListedPartition> partitions)
    {
        Key(key);
        _writer.WriteArrayHeader(partitions.Length);
        foreach (var partition in partitions)
        {
            _writer.WriteArrayHeader(5);
            _writer.Write(partition.Name);
            _writer.Write(partition.Version);
            Item(partition.Keys);
            _writer.Write(partition.Tags.Span);
            if (partition.Removed is { } removed)
                Item(removed);
            else
                _writer.WriteNil();
        }
    }

    /// <summary>Writes what METRICS tells of requests.</summary>
    internal void Entry(string key, ImmutableArray<OperationMetrics> operations)
    {
        Key(key);
        _writer.WriteArrayHeader(operations.Length);
        foreach (var operation in operations)
        {
            _writer.WriteArrayHeader(6);
            _writer.Write(operation.Type);
            _writer.Write(operation.Count);
            _writer.Write(operation.Errors);
            _writer.Write(operation.Rows);
            _writer.Write(operation.Microseconds);
            _writer.Write(MemoryMarshal.AsBytes(operation.Buckets.AsSpan()));
        }
    }

    /// <summary>Writes what METRICS tells of partitions.</summary>
    internal void Entry(string key, ImmutableArray<PartitionMetrics> partitions)
    {
        Key(key);
        _writer.WriteArrayHeader(partitions.Length);
        foreach (var partition in partitions)
        {
            _writer.WriteArrayHeader(5);
            _writer.Write(partition.Name);
            _writer.Write(partition.Rows);
            _writer.Write(partition.Cells);
            _writer.WriteArrayHeader(partition.Fields.Length);
            foreach (string field in partition.Fields)
                _writer.Write(field);
            _writer.WriteMapHeader(partition.Consumed.Count);
            foreach (var (task, rows) in partition.Consumed)
            {
                _writer.Write(task);
                _writer.Write(rows);
            }
        }
    }

    private void Key(string key)
    {
        if (++_entries > MostEntries)
            throw new InvalidOperationException($"header key '{key}': a header has at most {MostEntries}");
        _writer.Write(key);
    }

    private void Item(PackedKeys keys)
    {
        _writer.WriteMapHeader(2);
        _writer.Write("n");
        _writer.Write(keys.Count);
        _writer.Write("k");
        _writer.Write(keys.Joined.Span);
    }

    private void Item(in ColumnPiece piece)
    {
        _writer.WriteArrayHeader(4);
        _writer.Write((int)piece.Layout.Kind);
        _writer.Write(piece.Rows);
        Shape(piece.Layout.Shape.IsDefault ? [] : piece.Layout.Shape);
        _writer.Write(piece.Bytes);
    }

    private void Shape(ImmutableArray<long> shape)
    {
        if (shape.IsDefault)
        {
            _writer.WriteNil();
            return;
        }
        _writer.WriteArrayHeader(shape.Length);
        foreach (long extent in shape)
            _writer.Write(extent);
    }
}

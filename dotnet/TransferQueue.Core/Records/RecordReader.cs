using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Sampling;

namespace TransferQueue.Records;

/// <summary>Reads what <see cref="RecordWriter"/> wrote.</summary>
internal static class RecordReader
{
    /// <summary>Reads one value.</summary>
    internal delegate T Element<T>(ref MessagePackReader reader);

    /// <summary>One record.</summary>
    /// <exception cref="ProtocolException">The bytes are no record, or of a kind that this version doesn't know.</exception>
    public static Record Read(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            var reader = new MessagePackReader(bytes);
            Array(ref reader, 2);
            Record record = Read((RecordKind)reader.ReadInt32(), ref reader);
            return reader.End ? record : throw new ProtocolException("record: bytes behind its end");
        }
        catch (Exception error) when (error is MessagePackSerializationException or EndOfStreamException or OverflowException)
        {
            throw new ProtocolException($"record: {error.Message}");
        }
    }

    /// <summary>The head of an array that must have <paramref name="count"/> values.</summary>
    internal static void Array(ref MessagePackReader reader, int count)
    {
        int there = reader.ReadArrayHeader();
        if (there != count)
            throw new ProtocolException($"record: an array of {there} values where {count} belong");
    }

    /// <summary>A string.</summary>
    internal static string Text(ref MessagePackReader reader) => reader.ReadString() ?? throw new ProtocolException("record: nil where a string belongs");

    /// <summary>An array of values of one kind.</summary>
    internal static ImmutableArray<T> List<T>(ref MessagePackReader reader, Element<T> element)
    {
        var values = ImmutableArray.CreateBuilder<T>(reader.ReadArrayHeader());
        while (values.Count < values.Capacity)
            values.Add(element(ref reader));
        return values.MoveToImmutable();
    }

    /// <summary>Numbers that are written as binary.</summary>
    internal static ImmutableArray<T> Numbers<T>(ref MessagePackReader reader)
        where T : unmanaged
    {
        ReadOnlySequence<byte> bytes = reader.ReadBytes() ?? throw new ProtocolException("record: nil where numbers belong");
        var numbers = new T[bytes.Length / Unsafe.SizeOf<T>()];
        bytes.CopyTo(MemoryMarshal.AsBytes(numbers.AsSpan()));
        return ImmutableCollectionsMarshal.AsImmutableArray(numbers);
    }

    /// <summary>Which rows a put means.</summary>
    internal static RowsRef Rows(ref MessagePackReader reader)
    {
        Array(ref reader, 3);
        ImmutableArray<PartitionRun> parts = Parts(ref reader);
        ImmutableArray<string> keys = reader.TryReadNil() ? default : List(ref reader, Text);
        RowSelection? selection = reader.TryReadNil() ? null : Selection(ref reader);
        if (selection is not null)
            return RowsRef.ByIndexes(selection);
        return keys.IsDefault ? RowsRef.New(parts[0].Partition, parts[0].Count) : RowsRef.ByKeys(parts[0].Partition, keys);
    }

    /// <summary>Rows by index.</summary>
    internal static RowSelection Selection(ref MessagePackReader reader)
    {
        Array(ref reader, 3);
        return new RowSelection(Parts(ref reader), Numbers<long>(ref reader), reader.TryReadNil() ? default : Numbers<uint>(ref reader));
    }

    /// <summary>The tags of <paramref name="rows"/> rows, or null.</summary>
    internal static PackedTags? Tags(ref MessagePackReader reader, int rows) =>
        reader.ReadBytes() is { } bytes ? PackedTags.Parse(bytes.ToArray(), rows) : null;

    /// <summary>A batch whose rows are fixed.</summary>
    internal static CachedBatch Batch(ref MessagePackReader reader)
    {
        Array(ref reader, 6);
        BatchKey key = new(Text(ref reader), reader.ReadInt64(), reader.ReadInt64());
        ImmutableArray<long> rows = Numbers<long>(ref reader);
        ImmutableArray<uint> generations = Numbers<uint>(ref reader);
        return new CachedBatch(key, rows, reader.ReadBoolean()) { Generations = generations };
    }

    private static Record Read(RecordKind kind, ref MessagePackReader reader) => kind switch
    {
        RecordKind.Put => PutRecord.Read(ref reader),
        RecordKind.Insert => InsertRecord.Read(ref reader),
        RecordKind.CreateKeys => CreateKeysRecord.Read(ref reader),
        RecordKind.Fetch => FetchRecord.Read(ref reader),
        RecordKind.ClearKeys => ClearKeysRecord.Read(ref reader),
        RecordKind.ClearRows => ClearRowsRecord.Read(ref reader),
        RecordKind.ClearPartition => ClearPartitionRecord.Read(ref reader),
        RecordKind.SetTags => SetTagsRecord.Read(ref reader),
        RecordKind.ResetConsumption => ResetConsumptionRecord.Read(ref reader),
        RecordKind.Load => LoadRecord.Read(ref reader),
        _ => throw new ProtocolException($"record: kind {(int)kind}; this version knows 1 to {(int)RecordKind.Load}"),
    };

    private static ImmutableArray<PartitionRun> Parts(ref MessagePackReader reader) => List(ref reader, (ref MessagePackReader r) =>
    {
        Array(ref r, 2);
        return new PartitionRun(Text(ref r), r.ReadInt32());
    });
}

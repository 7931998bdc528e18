using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Sampling;

namespace TransferQueue.Records;

/// <summary>Writes records and the values that they are made of: MessagePack arrays, numbers in bulk as little-endian binary.</summary>
internal static class RecordWriter
{
    /// <summary>One record: the array [kind, fields].</summary>
    public static byte[] Write(Record record)
    {
        ArrayBufferWriter<byte> buffer = new();
        var writer = new MessagePackWriter(buffer);
        writer.WriteArrayHeader(2);
        writer.Write((int)record.Kind);
        record.Write(ref writer);
        writer.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>[parts, keys or nil, selection or nil].</summary>
    internal static void Rows(ref MessagePackWriter writer, RowsRef rows)
    {
        writer.WriteArrayHeader(3);
        Parts(ref writer, rows.Parts);
        if (rows.Keys.IsDefault)
            writer.WriteNil();
        else
            Texts(ref writer, rows.Keys);
        if (rows.Selection is null)
            writer.WriteNil();
        else
            Selection(ref writer, rows.Selection);
    }

    /// <summary>[parts, indexes, generations or nil].</summary>
    internal static void Selection(ref MessagePackWriter writer, RowSelection rows)
    {
        writer.WriteArrayHeader(3);
        Parts(ref writer, rows.Parts);
        Numbers(ref writer, rows.Indexes.AsSpan());
        if (rows.Generations.IsDefault)
            writer.WriteNil();
        else
            Numbers(ref writer, rows.Generations.AsSpan());
    }

    /// <summary>The tags' bytes, or nil.</summary>
    internal static void Tags(ref MessagePackWriter writer, PackedTags? tags)
    {
        if (tags is null)
            writer.WriteNil();
        else
            writer.Write(tags.Bytes.Span);
    }

    /// <summary>[task, rank, batch index, rows, generations, taken].</summary>
    internal static void Batch(ref MessagePackWriter writer, CachedBatch batch)
    {
        writer.WriteArrayHeader(6);
        writer.Write(batch.Key.Task);
        writer.Write(batch.Key.Rank);
        writer.Write(batch.Key.Index);
        Numbers(ref writer, batch.Rows.AsSpan());
        Numbers(ref writer, batch.Generations.AsSpan());
        writer.Write(batch.IsTaken);
    }

    /// <summary>An array of strings.</summary>
    internal static void Texts(ref MessagePackWriter writer, ImmutableArray<string> texts)
    {
        writer.WriteArrayHeader(texts.Length);
        foreach (string text in texts)
            writer.Write(text);
    }

    /// <summary>Numbers as binary.</summary>
    internal static void Numbers<T>(ref MessagePackWriter writer, ReadOnlySpan<T> numbers)
        where T : unmanaged => writer.Write(MemoryMarshal.AsBytes(numbers));

    private static void Parts(ref MessagePackWriter writer, ImmutableArray<PartitionRun> parts)
    {
        writer.WriteArrayHeader(parts.Length);
        foreach (PartitionRun part in parts)
        {
            writer.WriteArrayHeader(2);
            writer.Write(part.Partition);
            writer.Write(part.Count);
        }
    }
}

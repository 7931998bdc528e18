using System.Buffers;
using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>The operations on packed batches that Python calls: packed arguments in, a packed batch (or an array of them) out.</summary>
internal static class BatchMetaOperations
{
    private static readonly ProtocolLimits Limits = new() { HeaderBytes = Array.MaxLength, Rows = Array.MaxLength };

    /// <summary>Does one operation.</summary>
    /// <param name="operation">Which; <see cref="BatchMetaOperation"/>.</param>
    /// <param name="arguments">A MessagePack array; packed batches in it are binary.</param>
    /// <returns>One MessagePack value: a packed batch as binary, or an array of such (the chunk operations).</returns>
    /// <exception cref="ProtocolException">The arguments are not those of the operation.</exception>
    /// <exception cref="InvalidArgumentException">The batches don't allow it; see <see cref="BatchMeta"/>.</exception>
    internal static ReadOnlyMemory<byte> Run(long operation, ReadOnlyMemory<byte> arguments)
    {
        var reader = HeaderReader.OfArray($"batch_meta {(BatchMetaOperation)operation}", arguments, Limits);
        return (BatchMetaOperation)operation switch
        {
            BatchMetaOperation.SelectRows => Pack(Batch(ref reader, 2).SelectRows(reader.Indexes().AsSpan())),
            BatchMetaOperation.SelectFields => Pack(Batch(ref reader, 2).SelectFields(reader.Names())),
            BatchMetaOperation.Chunk => Pack(Batch(ref reader, 2).Chunk(reader.Integer32())),
            BatchMetaOperation.ChunkByPartition => Pack(Batch(ref reader, 1).ChunkByPartition()),
            BatchMetaOperation.Concat => Pack(Concat(ref reader)),
            BatchMetaOperation.Union => Pack(Batch(ref reader, 2).Union(BatchMetaCodec.Unpack(reader.Binary()))),
            BatchMetaOperation.Reorder => Pack(Batch(ref reader, 2).Reorder(reader.Indexes().AsSpan())),
            BatchMetaOperation.AddFields => Pack(Batch(ref reader, 3).AddFields(BatchMetaCodec.ReadFields(ref reader), reader.Boolean())),
            BatchMetaOperation.Validate => Pack(Batch(ref reader, 1)),
            BatchMetaOperation.SetTags => Pack(SetTags(ref reader)),
            _ => throw new ProtocolException($"batch_meta: operation {operation}; there are 1 to {(int)BatchMetaOperation.SetTags}"),
        };
    }

    private static BatchMeta Batch(ref HeaderReader reader, int arguments)
    {
        reader.Tuple(arguments);
        return BatchMetaCodec.Unpack(reader.Binary());
    }

    private static BatchMeta Concat(ref HeaderReader reader)
    {
        reader.Tuple(2);
        var batches = new BatchMeta[reader.List(Limits.Rows)];
        for (int i = 0; i < batches.Length; i++)
            batches[i] = BatchMetaCodec.Unpack(reader.Binary());
        return BatchMeta.Concat(batches, reader.Boolean());
    }

    private static BatchMeta SetTags(ref HeaderReader reader)
    {
        var batch = Batch(ref reader, 2);
        return batch.WithTags(reader.Nil() ? null : PackedTags.Parse(reader.Binary(), batch.Size));
    }

    private static ReadOnlyMemory<byte> Pack(BatchMeta batch)
    {
        var packed = BatchMetaCodec.Pack(batch);
        var buffer = new ArrayBufferWriter<byte>(packed.Length + 5);
        var writer = new MessagePackWriter(buffer);
        writer.Write(packed.Span);
        writer.Flush();
        return buffer.WrittenMemory;
    }

    private static ReadOnlyMemory<byte> Pack(ImmutableArray<BatchMeta> batches)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteArrayHeader(batches.Length);
        foreach (var batch in batches)
            writer.Write(BatchMetaCodec.Pack(batch).Span);
        writer.Flush();
        return buffer.WrittenMemory;
    }
}

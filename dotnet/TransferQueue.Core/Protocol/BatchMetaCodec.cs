using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>
/// Batches as they travel and as Python holds them: docs/wire.md, section 4. Reading is strict; what is written is the shortest
/// form (no generations or tags where all are 0 or empty).
/// </summary>
internal static class BatchMetaCodec
{
    private const int Version = 1;

    /// <summary>Flag: rows of differing shapes, or a nested tensor.</summary>
    private const int Nested = 1;

    /// <summary>Flag: text or objects.</summary>
    private const int NonTensor = 2;

    private static readonly HeaderKeys Keys = new("v", "n", "gi", "gen", "parts", "status", "fields", "tags");

    /// <summary>A batch may be larger than a message: it need not travel.</summary>
    private static readonly ProtocolLimits Limits = new() { HeaderBytes = Array.MaxLength, Rows = Array.MaxLength };

    /// <summary>Packs a batch.</summary>
    internal static ReadOnlyMemory<byte> Pack(BatchMeta batch)
    {
        var writer = new HeaderWriter();
        writer.Entry("v", Version);
        writer.Entry("n", batch.Size);
        writer.Numbers("gi", batch.GlobalIndexes);
        writer.Numbers("gen", batch.Generations);
        writer.Parts("parts", batch.Partitions);
        writer.Numbers("status", batch.ProductionStatus);
        writer.Fields("fields", batch.Fields);
        writer.Entry("tags", batch.Tags?.Bytes);
        return writer.Finish();
    }

    /// <summary>Reads a packed batch. Its tags stay a part of <paramref name="packed"/>.</summary>
    /// <exception cref="ProtocolException">A rule of the encoding is broken, or a length is not the batch's.</exception>
    internal static BatchMeta Unpack(ReadOnlyMemory<byte> packed)
    {
        var reader = new HeaderReader("batch", packed, Limits);
        var read = new Parts();
        while (reader.Next(Keys) is { } key)
            read.Read(key, ref reader);
        try
        {
            return read.ToBatch(ref reader);
        }
        catch (InvalidArgumentException error)
        {
            throw new ProtocolException(error.Message);
        }
    }

    /// <summary>Packs the flags of a field.</summary>
    internal static int Flags(FieldSchema field) => (field.IsNested ? Nested : 0) | (field.IsNonTensor ? NonTensor : 0);

    /// <summary>Reads fields [name, dtype, shape, flags, sizes].</summary>
    internal static ImmutableArray<FieldSchema> ReadFields(ref HeaderReader reader)
    {
        int count = reader.List(Limits.Frames);
        var fields = ImmutableArray.CreateBuilder<FieldSchema>(count);
        for (int i = 0; i < count; i++)
        {
            reader.Tuple(5);
            string name = reader.Name();
            DType? dtype = reader.Nil() ? null : reader.DType();
            ImmutableArray<long> shape = reader.Nil() ? default : reader.Shape();
            int flags = (int)reader.Integer(0, Nested | NonTensor);
            ImmutableArray<int> sizes = reader.Nil() ? default : reader.Numbers<int>(long.MaxValue);
            fields.Add(new FieldSchema(name, dtype, shape, (flags & Nested) != 0, (flags & NonTensor) != 0, sizes));
        }
        return fields.MoveToImmutable();
    }

    /// <summary>The entries while they are read.</summary>
    private struct Parts
    {
        private long? _version;
        private int? _rows;
        private ImmutableArray<long> _indexes;
        private ImmutableArray<uint> _generations;
        private ImmutableArray<PartitionRun> _partitions;
        private ImmutableArray<sbyte> _status;
        private ImmutableArray<FieldSchema> _fields;
        private ReadOnlyMemory<byte>? _tags;

        /// <summary>Reads one entry.</summary>
        internal void Read(string key, ref HeaderReader reader)
        {
            switch (key)
            {
                case "v":
                    _version = reader.Integer();
                    break;
                case "n":
                    _rows = reader.Rows();
                    break;
                case "gi":
                    _indexes = reader.Indexes();
                    break;
                case "gen":
                    _generations = reader.Generations();
                    break;
                case "parts":
                    _partitions = reader.Parts();
                    break;
                case "status":
                    _status = reader.Numbers<sbyte>(long.MaxValue);
                    break;
                case "fields":
                    _fields = ReadFields(ref reader);
                    break;
                default:
                    _tags = reader.Binary();
                    break;
            }
        }

        /// <summary>The batch.</summary>
        internal readonly BatchMeta ToBatch(ref HeaderReader reader)
        {
            if (reader.Required(_version, "v") != Version)
                throw new ProtocolVersionException($"a packed batch of version {_version}; this side reads version {Version}");
            int rows = reader.Required(_rows, "n");
            var indexes = reader.Required(_indexes, "gi");
            if (indexes.Length != rows)
                throw new ProtocolException($"batch: n is {rows}, 'gi' has {indexes.Length}");
            var tags = _tags is { } bytes ? PackedTags.Parse(bytes, rows) : null;
            return BatchMeta.Create(
                indexes, reader.Required(_partitions, "parts"), reader.Required(_fields, "fields"), reader.Required(_status, "status"), _generations, tags);
        }
    }
}

using System.Collections.Immutable;
using BenchmarkDotNet.Attributes;
using TransferQueue.Columns;
using TransferQueue.Protocol;

namespace TransferQueue.Benchmarks;

/// <summary>Headers of puts and packed metadata of batches: written and read.</summary>
public class CodecBenchmarks
{
    private PutRequest _put = null!;
    private ReadOnlyMemory<byte> _header;
    private long[] _frames = [];
    private BatchMeta _batch = BatchMeta.Empty;
    private ReadOnlyMemory<byte> _packed;

    /// <summary>Rows of the batch.</summary>
    [Params(64, 1 << 14)]
    public int Rows { get; set; }

    /// <summary>Fields of the batch.</summary>
    [Params(1, 64)]
    public int Fields { get; set; }

    /// <summary>Makes a put into rows that there are, and the metadata that it hands out.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        ColumnLayout layout = new(ColumnKind.Dense, DType.Float32, [16]);
        ImmutableArray<PartitionRun> runs = [new("train", Rows)];
        ImmutableArray<long> indexes = [.. Enumerable.Range(0, Rows).Select(row => (long)row)];
        ImmutableArray<uint> generations = [.. Enumerable.Repeat(1u, Rows)];
        ImmutableArray<ColumnDescriptor> columns = [.. Enumerable.Range(0, Fields).Select(i => new ColumnDescriptor($"f{i:00}", layout))];
        _frames = [.. Enumerable.Repeat(Rows * 64L, Fields)];
        _put = new PutRequest(Rows, null, default, new RowSelection(runs, indexes, generations), null, columns, PutWant.Meta);
        _header = _put.ToHeader();
        ImmutableArray<FieldSchema> schemas = [.. columns.Select(column => FieldSchema.Of(column.Name, column.Layout))];
        _batch = BatchMeta.Create(indexes, runs, schemas, [.. Enumerable.Repeat((sbyte)1, Rows)], generations);
        _packed = BatchMetaCodec.Pack(_batch);
    }

    /// <summary>A put's header, written.</summary>
    [Benchmark(Description = "put header: write")]
    public int WritePut() => _put.ToHeader().Length;

    /// <summary>A put's header, read and checked.</summary>
    [Benchmark(Description = "put header: read")]
    public Type ReadPut() =>
        Request.Read(ProtocolVersion.Current, (ushort)MessageType.Put, _header, _frames, ProtocolLimits.Default).GetType();

    /// <summary>Metadata, packed.</summary>
    [Benchmark(Description = "meta: pack")]
    public int PackMeta() => BatchMetaCodec.Pack(_batch).Length;

    /// <summary>Metadata, read and checked.</summary>
    [Benchmark(Description = "meta: unpack")]
    public int UnpackMeta() => BatchMetaCodec.Unpack(_packed).Size;
}

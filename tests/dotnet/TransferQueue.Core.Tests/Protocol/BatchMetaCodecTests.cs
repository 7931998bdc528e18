using System.Buffers;
using FsCheck;
using FsCheck.Fluent;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Protocol;
using TransferQueue.Tests.Columns;
using Xunit;

namespace TransferQueue.Tests.Protocol;

public sealed class BatchMetaCodecTests
{
    [Fact]
    public void ABatchComesBackAsItWas() => Prop.ForAll(BatchRows.Generator().ToArbitrary(), batch =>
    {
        var again = BatchMetaCodec.Unpack(BatchMetaCodec.Pack(batch));
        Assert.Equal(Described.Of(batch), Described.Of(again));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void ACutOrFlippedBatchIsValidOrRefused() => Prop.ForAll(BatchRows.Generator().ToArbitrary(), batch =>
    {
        var packed = BatchMetaCodec.Pack(batch);
        for (int length = 0; length < packed.Length; length += 1 + packed.Length / 40)
            Assert.ThrowsAny<ProtocolException>(() => BatchMetaCodec.Unpack(packed[..length]));
        for (int bit = 0; bit < packed.Length * 8; bit += 1 + packed.Length / 40)
        {
            var flipped = packed.ToArray();
            flipped[bit / 8] ^= (byte)(1 << bit % 8);
            try
            {
                BatchMetaCodec.Pack(BatchMetaCodec.Unpack(flipped));
            }
            catch (TransferQueueException error) when (error.Kind is ErrorKind.Protocol or ErrorKind.LimitExceeded or ErrorKind.ProtocolVersion)
            {
            }
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void EveryOperationTakesItsArguments()
    {
        var batch = BatchMeta.Create([1, 2, 3], [new("p", 2), new("q", 1)], [new("x", DType.Int8, [-1], true, false, [4, 5, 6])]);
        var meta = BatchMetaCodec.Pack(batch).ToArray();
        byte[] positions = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        long[] order = [2, 0, 1];

        AssertBatch(batch.SelectRows(order), Run(1, meta, positions));
        AssertBatch(batch.SelectFields([]), Run(2, meta, Array.Empty<object>()));
        AssertBatches(batch.Chunk(2), Run(3, meta, 2));
        AssertBatches(batch.ChunkByPartition(), Run(4, meta));
        AssertBatch(BatchMeta.Concat([batch, batch]), Run(5, new object[] { meta, meta }, true));
        AssertBatch(batch, Run(6, meta, meta));
        AssertBatch(batch.Reorder(order), Run(7, meta, positions));
        var added = new FieldSchema("y", DType.Float32, [2], false, false);
        AssertBatch(batch.AddFields([added]), Run(8, meta, new object[] { new object?[] { "y", 6, new object[] { 2 }, 0, null } }, true));
        AssertBatch(batch, Run(9, meta));
        AssertBatch(batch.WithTags(PackedTags.Parse(SampleMessages.Tags, 3)), Run(10, meta, SampleMessages.Tags.ToArray()));
        AssertBatch(batch.WithTags(null), Run(10, meta, null));
    }

    [Fact]
    public void ArgumentsOfAnotherOperationAreRefused()
    {
        var meta = BatchMetaCodec.Pack(BatchMeta.Empty).ToArray();
        Assert.Throws<ProtocolException>(() => Run(0, meta));
        Assert.Throws<ProtocolException>(() => Run(11, meta));
        Assert.Throws<ProtocolException>(() => Run(1, meta));
        Assert.Throws<ProtocolException>(() => Run(9, meta, meta));
        Assert.Throws<ProtocolException>(() => Run(3, meta, "2"));
        Assert.Throws<ProtocolException>(() => Run(6, meta, 1));
        Assert.Throws<InvalidArgumentException>(() => Run(3, meta, 0));
    }

    [Fact]
    public void ARuleOfTheBatchIsARuleOfItsEncoding()
    {
        byte[] Packed(object fields, object? generations = null)
        {
            var buffer = new ArrayBufferWriter<byte>();
            var writer = new MessagePackWriter(buffer);
            writer.WriteMapHeader(7);
            object?[] entries =
                ["v", 1, "n", 1, "gi", new byte[8], "gen", generations, "parts", new object[] { new object[] { "p", 1 } }, "status", new byte[] { 1 }, "fields", fields];
            foreach (object? entry in entries)
                Write(ref writer, entry);
            writer.Flush();
            return buffer.WrittenSpan.ToArray();
        }

        object Field(string name, object? dtype, object? shape, int flags, object? sizes) => new[] { name, dtype, shape, flags, sizes };
        BatchMetaCodec.Unpack(Packed(new[] { Field("a", null, null, 0, null), Field("b", -1, Array.Empty<object>(), 2, null) }));
        object[] broken =
        [
            new[] { Field("a", null, null, 0, null), Field("a", null, null, 0, null) },
            new[] { Field("a", 12, null, 0, null) },
            new[] { Field("a", 6, null, 2, null) },
            new[] { Field("a", 6, null, 4, null) },
            new[] { Field("a", 6, new object[] { -1 }, 0, null) },
            new[] { Field("a", 6, new object[] { -1 }, 1, new byte[8]) },
            new[] { Field("a", 6, new object[] { 3 }, 1, new byte[4]) },
            new[] { Field("a", 6, new object[] { -2 }, 1, null) },
        ];
        Assert.All(broken, fields => Assert.Throws<ProtocolException>(() => BatchMetaCodec.Unpack(Packed(fields))));
        Assert.Throws<ProtocolException>(() => BatchMetaCodec.Unpack(Packed(Array.Empty<object>(), new byte[8])));
    }

    private static ReadOnlyMemory<byte> Run(long operation, params object?[]? arguments)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        Write(ref writer, arguments);
        writer.Flush();
        return BatchMetaOperations.Run(operation, buffer.WrittenMemory);
    }

    private static void Write(ref MessagePackWriter writer, object? value)
    {
        switch (value)
        {
            case null:
                writer.WriteNil();
                break;
            case string text:
                writer.Write(text);
                break;
            case byte[] bytes:
                writer.Write(bytes);
                break;
            case bool truth:
                writer.Write(truth);
                break;
            case object?[] items:
                writer.WriteArrayHeader(items.Length);
                foreach (object? item in items)
                    Write(ref writer, item);
                break;
            default:
                writer.Write(Convert.ToInt64(value));
                break;
        }
    }

    private static void AssertBatch(BatchMeta expected, ReadOnlyMemory<byte> result)
    {
        var reader = new MessagePackReader(result);
        AssertPacked(expected, reader.ReadBytes()!.Value.First);
        Assert.True(reader.End);
    }

    private static void AssertPacked(BatchMeta expected, ReadOnlyMemory<byte> packed) =>
        Assert.Equal(Described.Of(expected), Described.Of(BatchMetaCodec.Unpack(packed)));

    private static void AssertBatches(IReadOnlyList<BatchMeta> expected, ReadOnlyMemory<byte> result)
    {
        var reader = new MessagePackReader(result);
        Assert.Equal(expected.Count, reader.ReadArrayHeader());
        foreach (var batch in expected)
            AssertPacked(batch, reader.ReadBytes()!.Value.First);
        Assert.True(reader.End);
    }
}

using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Protocol;

namespace TransferQueue.Tests.Protocol;

/// <summary>One or more samples of every message, with every optional entry there once and absent once.</summary>
internal static class SampleMessages
{
    internal static ReadOnlyMemory<byte> Tags { get; } = new byte[] { 0x81, 0xA1, (byte)'s', 1, 0x80, 0x80 };

    internal static ReadOnlyMemory<byte> Meta { get; } = new byte[] { 0x81, 0xA1, (byte)'v', 1 };

    internal static RowSelection Selection { get; } = new([new("train", 2), new("val", 1)], [7, 3, long.MaxValue], [1, 0, uint.MaxValue]);

    internal static ImmutableArray<string> Keys { get; } = ["a", "", "é☃"];

    internal static ImmutableArray<ColumnDescriptor> Columns { get; } =
    [
        new("dense", new ColumnLayout(ColumnKind.Dense, DType.BFloat16, [2, 5])),
        new("scalar", new ColumnLayout(ColumnKind.Dense, DType.Int64, [])),
        new("jagged", new ColumnLayout(ColumnKind.Jagged, DType.Float32, [4, -1])),
        new("ragged", new ColumnLayout(ColumnKind.Ragged, DType.Int16, [-1, 3, -1])),
        new("text", new ColumnLayout(ColumnKind.Text, DType.None, [])),
        new("object", new ColumnLayout(ColumnKind.Object, DType.None, [])),
    ];

    /// <summary>Lengths of the frames of <see cref="Columns"/> for three rows.</summary>
    internal static long[] Frames { get; } = [60, 24, 64 + 5 * 16, 128 + 18, 64 + 7, 64];

    internal static IReadOnlyList<(Request Request, long[] Frames)> Requests { get; } =
    [
        (new HelloRequest(new byte[16], 4711, "0.2.0", null), []),
        (new HelloRequest(Enumerable.Range(0, 16).Select(i => (byte)i).ToArray(), int.MaxValue, "0.2.0", new byte[] { 1, 2 }), []),
        (PlainRequest.Ping, []),
        (new AuthRequest(new byte[16], new byte[32], new byte[32]), []),
        (new PutRequest(3, "train", Keys, null, PackedTags.Parse(Tags, 3), Columns, PutWant.Kv), Frames),
        (new PutRequest(3, null, default, Selection, null, Columns[..1], PutWant.None), Frames[..1]),
        (new PutRequest(3, "train", default, null, null, Columns[1..2], PutWant.Meta), Frames[1..2]),
        (new PutRequest(0, "train", [], null, PackedTags.Parse(default, 0), [], PutWant.Kv), []),
        (new GetRequest("train", Keys, null, default, false), []),
        (new GetRequest(null, default, Selection, ["x", "y"], true), []),
        (new GetRequest(null, default, Selection with { Generations = default }, [], true), []),
        (new MetaRequest("train", ["x"], 64, MetaMode.Fetch, "actor", new byte[] { 0x80 }), []),
        (new MetaRequest("train", ["x"], 64, MetaMode.Fetch, "actor", null, 1500), []),
        (new MetaRequest("train", [], null, MetaMode.ForceFetch, null, null), []),
        (new MetaRequest("train", ["x"], null, MetaMode.Insert, null, null), []),
        (new RetrieveMetaRequest("train", Keys, true), []),
        (new PartitionRowsRequest(MessageType.RetrieveKeys, "train", [1, 2, 3]), []),
        (new ListRequest(null, null), []),
        (new ListRequest("train", ImmutableSortedDictionary<string, long>.Empty.Add("train", 12)), []),
        (new ClearKeysRequest("train", Keys), []),
        (new ClearRowsRequest(Selection), []),
        (new ClearPartitionRequest("train"), []),
        (new SetTagsRequest(Selection, PackedTags.Parse(Tags, 3), true), []),
        (new ProductionStatusRequest("train", ["x", "y"]), []),
        (new ProductionStatusRequest("train", ["x"], Check: true), []),
        (new ConsumptionStatusRequest("train", "actor"), []),
        (new ConsumptionStatusRequest("train", "actor", Check: true), []),
        (new ResetConsumptionRequest("train", null), []),
        (new ResetConsumptionRequest("train", "actor"), []),
        (PlainRequest.Partitions, []),
        (PlainRequest.Stats, []),
        (new PartitionRowsRequest(MessageType.Tags, "train", [4, 5]), []),
        (PlainRequest.Metrics, []),
        (new SetSamplerRequest("GRPOGroupNSampler", ImmutableSortedDictionary<string, long>.Empty.Add("n_samples_per_prompt", 4), null), []),
        (new SetSamplerRequest("Own", ImmutableSortedDictionary<string, long>.Empty, new byte[32]), []),
        (new SamplerTurnRequest(new byte[32], 0, default, default, null), []),
        (new SamplerTurnRequest(new byte[32], 7, [1, 2, 1], [2], null), []),
        (new SamplerTurnRequest(new byte[32], 8, default, default, "Traceback …\nValueError: no"), []),
        (new SamplerTurnRequest(new byte[32], 9, default, default, null) { State = new byte[] { 0x80 } }, []),
        (new CheckpointRequest(CheckpointRequest.Save, "/a/b", "{}"), []),
        (new CheckpointRequest(CheckpointRequest.LoadController, "/a/b.tqc", null), []),
        (new CheckpointProgressRequest(3, false), []),
        (new CheckpointProgressRequest(3, true), []),
        (new MemoryRequest(3), []),
        (new ReserveRequest([64 << 10, 1L << 30]), []),
        (new ReleaseRequest([7, ulong.MaxValue], [8], [9]), []),
        (new ReleaseRequest([], default, default), []),
        (new ReleaseRequest(default, [1]), []),
        (new PinRequest([7, 1]), []),
    ];

    internal static ImmutableArray<ReplyColumn> ReplyColumns { get; } =
    [
        new("x", DType.Float32, [new(Columns[2].Layout, 1, 64 + 16), new(new ColumnLayout(ColumnKind.Dense, DType.Float32, [5]), 2, 40)]),
        new("s", DType.None, [new(Columns[4].Layout, 3, 64 + 7)]),
    ];

    internal static long[] ReplyFrames { get; } = [128 + 40, 64 + 7];

    internal static IReadOnlyList<(Reply Reply, Func<ReadOnlyMemory<byte>, Reply> Read)> Replies { get; } =
    [
        (new HelloReply("0.2.0", 12, 3, true, new ProtocolLimits { Rows = 5, PayloadBytes = 1 << 30 }, 2, 1L << 40, true), HelloReply.Read),
        (new NonceReply(new byte[32]), NonceReply.Read),
        (new OkReply(), OkReply.Read),
        (PutReply.None, PutReply.Read),
        (PutReply.Kv(Tags, ["x", "y"]), PutReply.Read),
        (PutReply.Batch(Meta), PutReply.Read),
        (new GetReply(3, ReplyColumns), header => GetReply.Read(header, ReplyFrames)),
        (new GetReply(1, [ReplyColumns[0] with { Pieces = ReplyColumns[0].Pieces[..1], Frames = 2 }]), header => GetReply.Read(header, [64, 16])),
        (new MetaReply(Meta), MetaReply.Read),
        (new RetrieveKeysReply(true, ["a", null, ""]), RetrieveKeysReply.Read),
        (new ListReply([new("train", 7, PackedKeys.Pack(Keys.AsSpan()), Tags), new("empty", 0, default, default), new("less", 8, default, default, PackedKeys.Pack(Keys.AsSpan())), new("same", 9, default, default, default(PackedKeys))]), ListReply.Read),
        (new RowsReply(1L << 40), RowsReply.Read),
        (new FoundReply(true), FoundReply.Read),
        (new StatusReply(true, new long[] { 4, 5 }, new sbyte[] { 0, 1, 1, 0 }), StatusReply.Read),
        (StatusReply.NotFound, StatusReply.Read),
        (new CheckReply(true), CheckReply.Read),
        (new PartitionsReply(["train", "val"]), PartitionsReply.Read),
        (new StatsReply(ImmutableSortedDictionary<string, long>.Empty.Add("requests", 12).Add("rows", -1)), StatsReply.Read),
        (new TagsReply(Tags), TagsReply.Read),
        (new MetricsReply(9, 8, 2, 6, 100, [new(10, 3, 1, 24, 1L << 40, [.. Enumerable.Range(0, 11).Select(bucket => (long)bucket)])],
            [new("train", 8, 12, ["x", "y"], ImmutableSortedDictionary<string, long>.Empty.Add("actor", 4)), new("empty", 0, 0, [], ImmutableSortedDictionary<string, long>.Empty)]), MetricsReply.Read),
        (new MetricsReply(0, 0, 0, 0, null, [], []), MetricsReply.Read),
        (new SamplerTurnReply(7, "train", "actor", 64, [3, 4], new byte[] { 0x80 }), SamplerTurnReply.Read),
        (new SamplerTurnReply(8, "train", null, 0, [], null), SamplerTurnReply.Read),
        (new SamplerTurnReply(9, "", null, 0, [], null) { Action = SamplerTurnReply.Load, State = new byte[] { 0x80 } }, SamplerTurnReply.Read),
        (new CheckpointReply(3), CheckpointReply.Read),
        (new CheckpointProgressReply(true, 5, 6, "left out"), CheckpointProgressReply.Read),
        (new CheckpointProgressReply(false, 0, 0, null), CheckpointProgressReply.Read),
        (new MemoryReply([new(0, 1L << 40), new(1, 4096)]), MemoryReply.Read),
        (new ReserveReply(7, [0, 1UL << 48 | 4096]), ReserveReply.Read),
        (new ErrorReply(ErrorKind.NotReady, "12 of 64 ready", ImmutableSortedDictionary<string, object>.Empty.Add("missing", "reward").Add("ready", 12L)),
            ErrorReply.Read),
    ];
}

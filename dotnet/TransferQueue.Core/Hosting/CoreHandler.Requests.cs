using System.Collections.Immutable;
using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Records;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>About so many bytes has a row in a packed batch: index, generation, status.</summary>
    private const long PackedRowBytes = 16;

    private static readonly string Version = typeof(CoreHandler).Assembly.GetName().Version?.ToString() ?? "";

    /// <summary>Applies a request that changes something and has no columns.</summary>
    private Reply Change(Request request)
    {
        Reply reply = request switch
        {
            MetaRequest { Mode: MetaMode.Insert } insert => Insert(insert),
            RetrieveMetaRequest create => Batch(_machine.RetrieveMeta(create.Partition, create.Keys, create: true), MessageType.RetrieveMeta),
            ClearKeysRequest clear => new RowsReply(_machine.Apply(new ClearKeysRecord(clear.Partition, clear.Keys))),
            ClearRowsRequest clear => new RowsReply(_machine.Apply(new ClearRowsRecord(clear.Selection))),
            ClearPartitionRequest clear => Cleared(clear.Partition),
            SetTagsRequest tags => Tagged(tags),
            ResetConsumptionRequest reset => new FoundReply(_machine.Apply(new ResetConsumptionRecord(reset.Partition, reset.Task))),
            SetSamplerRequest set => SetSampler(set),
            _ => throw new InvalidOperationException($"core: no change for a request of type {request.Type}"),
        };
        AnswerWoken();
        return reply;
    }

    private FoundReply Cleared(string partition)
    {
        bool found = _machine.Apply(new ClearPartitionRecord(partition));
        ForgetSamples(partition);
        return new FoundReply(found);
    }

    /// <summary>Answers a request that changes nothing.</summary>
    private void Answer(ServerConnection connection, ClientSession session, in Prelude prelude, Request request)
    {
        if (request is GetRequest get)
            Get(connection, session, prelude, get);
        else if (request is MemoryRequest memory)
            SendMemory(connection, prelude.RequestId, session.Client, memory);
        else if (request is PinRequest pin)
            Pin(connection, prelude.RequestId, session.Client, pin);
        else if (request is ReleaseRequest release)
            Send(connection, prelude.RequestId, Release(session.Holder, release));
        else if (request is SamplerTurnRequest turn)
            TakeTurn(connection, prelude.RequestId, turn);
        else
            Send(connection, prelude.RequestId, request is HelloRequest hello ? Hello(connection, session, hello) : Look(request));
    }

    private Reply Look(Request request) => request switch
    {
        PlainRequest { Type: MessageType.Ping } => OkReply.Instance,
        MetaRequest all => Batch(_controller.ForceFetch(all.Partition, all.Fields)),
        RetrieveMetaRequest retrieve => Batch(_machine.RetrieveMeta(retrieve.Partition, retrieve.Keys, create: false), MessageType.RetrieveMeta),
        PartitionRowsRequest { Type: MessageType.RetrieveKeys } retrieve => _controller.RetrieveKeys(retrieve.Partition, retrieve.Indexes) is { } keys
            ? new RetrieveKeysReply(true, [.. keys])
            : new RetrieveKeysReply(false, []),
        ListRequest list => List(list),
        ProductionStatusRequest { Check: true } status => new CheckReply(_controller.IsProduced(status.Partition, status.Fields)),
        ConsumptionStatusRequest { Check: true } status => new CheckReply(_controller.IsConsumed(status.Partition, status.Task)),
        ProductionStatusRequest status => Status(_controller.ProductionStatus(status.Partition, status.Fields)),
        ConsumptionStatusRequest status => Status(_controller.ConsumptionStatus(status.Partition, status.Task)),
        PartitionRowsRequest { Type: MessageType.Tags } tags => new TagsReply(_controller.TagsOf(tags.Partition, tags.Indexes)),
        PlainRequest { Type: MessageType.Partitions } => new PartitionsReply([.. _controller.Partitions.Select(partition => partition.Name)]),
        PlainRequest { Type: MessageType.Stats } => new StatsReply(Stats()),
        PlainRequest { Type: MessageType.Metrics } => Metrics(),
        CheckpointProgressRequest progress => Progress(progress),
        _ => throw new ProtocolException($"core: a request of type {request.Type} has no meaning here"),
    };

    private HelloReply Hello(ServerConnection connection, ClientSession session, HelloRequest request)
    {
        if (!session.IsGreeted)
        {
            session.Greet(request.Client.Span, request.ProcessId, isRelayed: request.TokenProof is not null);
            _answers.Connect(session.Client);
            session.IsShared = _options.SharedMemory;
            if (session.IsShared)
                Share(connection, session);
            TakeFirstTier();
        }
        return new HelloReply(Version, Environment.ProcessId, _epoch, session.IsShared && !session.IsRelayed, _limits, _options.Units, _storage.CapacityBytes, _options.PollingMode);
    }

    private MetaReply Insert(MetaRequest request)
    {
        if (request.BatchSize is not { } rows)
            throw new InvalidArgumentException($"partition '{request.Partition}': an insert without batch_size; say how many rows");
        if (rows > _limits.HeaderBytes / PackedRowBytes)
            throw new LimitExceededException(
                $"partition '{request.Partition}': an insert of {rows} rows, at once {_limits.HeaderBytes / PackedRowBytes} are allowed, since the answer is a header; insert them in parts");
        return Batch(_machine.Insert(request.Partition, rows, request.Fields));
    }

    private OkReply Tagged(SetTagsRequest request)
    {
        _machine.Apply(new SetTagsRecord(request.Selection, request.Tags, request.Replace));
        return new OkReply();
    }

    private static StatusReply Status(RowStatus? status) =>
        status is null ? StatusReply.NotFound : new StatusReply(true, status.Indexes, status.Status);

    private MetricsReply Metrics() => new(
        Environment.TickCount64 - _epoch, _controller.Pool.Next, _controller.Pool.FreeCount, _controller.StoredCount, _options.TotalRows,
        _meter.Snapshot(), [.. _controller.Partitions.Select(Metrics)]);

    private static PartitionMetrics Metrics(Partition partition) => new(
        partition.Name, partition.RowCount, partition.AllFields.Sum(field => (long)field.ReadyCount), [.. partition.AllFields.Select(field => field.Name)],
        partition.Tasks.ToImmutableSortedDictionary(task => task.Key, task => (long)task.Value.ConsumedCount, StringComparer.Ordinal));

    private ImmutableSortedDictionary<string, long> Stats() => new Dictionary<string, long>
    {
        ["bytes_gathered"] = _storage.Counters.BytesGathered,
        ["bytes_inline"] = _storage.Counters.BytesInline,
        ["bytes_loaned"] = _storage.Counters.BytesLoaned,
        ["bytes_on_loan"] = _storage.Loans.Bytes,
        ["bytes_quarantined"] = QuarantinedBytes,
        ["bytes_held"] = _storage.HeldBytes,
        ["bytes_viewed"] = _storage.Counters.BytesViewed,
        ["client_leases"] = _storage.Leases.Count,
        ["leases_pinned"] = _storage.Leases.PinnedCount,
        ["loans"] = _storage.Loans.Count,
        ["room_waiting"] = _room.Count,
        ["bytes_capacity"] = _storage.CapacityBytes,
        ["bytes_offloaded"] = _storage.Files?.UsedBytes ?? 0,
        ["bytes_offload_committed"] = _storage.Files?.CommittedBytes ?? 0,
        ["bytes_used"] = _storage.UsedBytes,
        ["clients"] = _answers.ClientCount,
        ["connections"] = Loop.ConnectionCount,
        ["errors"] = _counters.Errors,
        ["faults"] = Loop.FaultCount,
        ["fetches_waiting"] = _machine.WaiterCount,
        ["frames_received"] = _counters.FramesReceived,
        ["frames_sent"] = _counters.FramesSent,
        ["leases"] = _storage.LeaseCount,
        ["partitions"] = _controller.Partitions.Count,
        ["repeated"] = _counters.Repeated,
        ["requests"] = _counters.Requests,
        ["rows"] = _controller.RowCount,
        ["rows_stored"] = _controller.StoredCount,
        ["runs_read"] = _storage.Counters.RunsRead,
        ["slices_placed"] = _storage.Counters.SlicesPlaced,
        ["bytes_committed"] = _storage.CommittedBytes,
        ["managed_bytes_allocated"] = GC.GetTotalAllocatedBytes(precise: true),
        ["managed_bytes_by_writer"] = GC.GetAllocatedBytesForCurrentThread(),
        ["managed_bytes_kept"] = GC.GetGCMemoryInfo(GCKind.Any).HeapSizeBytes,
        ["segments_visited"] = _controller.SegmentsVisited,
        ["words_visited"] = _controller.VisitedWords,
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);
}

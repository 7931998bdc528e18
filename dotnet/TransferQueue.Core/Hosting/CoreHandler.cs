using TransferQueue.Control;
using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Records;
using TransferQueue.Storage;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>
/// The core: turns requests into records and reads, on the thread of its loop, which is the only writer. A request runs to its
/// end at once; what takes long runs on a worker, what must wait is parked.
/// </summary>
internal sealed partial class CoreHandler : IServerHandler
{
    /// <summary>Longer headers get memory of their own.</summary>
    private const int MostKeptHeaderBytes = 4 << 20;

    private readonly CoreOptions _options;
    private readonly ProtocolLimits _limits;
    private readonly Controller _controller;
    private readonly StorageManager _storage;
    private readonly SegmentTable _segments;
    private readonly StateMachine _machine;
    private readonly CoreCounters _counters = new();
    private readonly OperationMeter _meter = new();
    private readonly RequestMemory _answers = new();

    /// <summary>The header of a request that is over before the next one comes.</summary>
    private byte[] _header = new byte[1 << 10];

    /// <summary>Requests with an effect that are not answered yet.</summary>
    private readonly Dictionary<(Guid Client, ulong RequestId), Call> _calls = [];


    /// <summary>Which life of the core this is; a client that was greeted by another one knows that it is new.</summary>
    private readonly long _epoch = Environment.TickCount64;
    private ServerLoop? _loop;

    public CoreHandler(CoreOptions options, Controller controller, StorageManager storage, StateMachine machine, SegmentTable segments)
    {
        (_options, _controller, _storage, _machine, _segments) = (options, controller, storage, machine, segments);
        _limits = ProtocolLimits.Default with { PayloadBytes = storage.MostPutBytes };
    }

    /// <summary>The loop that calls this handler.</summary>
    public ServerLoop Loop
    {
        get => _loop ?? throw new InvalidOperationException("core: the loop is not there yet");
        set => _loop = value;
    }

    /// <inheritdoc/>
    public void Connected(ServerConnection connection) => connection.State = new ClientSession();

    /// <inheritdoc/>
    public ReceivePlan Header(
        ServerConnection connection, in Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places, ReadOnlySpan<byte> header)
    {
        _counters.Request(frameLengths.Length);
        _meter.Enter(connection, prelude.RequestId, prelude.Type);
        try
        {
            ProtocolVersion.Check(prelude.Version);
            var session = (ClientSession)connection.State!;
            if (!session.IsGreeted && prelude.Type != (ushort)MessageType.Hello)
                throw new AuthenticationException($"core: a request of type {prelude.Type} before HELLO; say HELLO first");
            long[] lengths = frameLengths.IsEmpty ? [] : new long[frameLengths.Length];
            for (int i = 0; i < lengths.Length; i++)
                lengths[i] = checked((long)frameLengths[i]);
            bool isKept = prelude.Type == (ushort)MessageType.Meta || !frameLengths.IsEmpty || _machine.IsFrozen;
            Request request = Request.Read(prelude.Version, prelude.Type, isKept ? header.ToArray() : Borrowed(header), lengths, _limits);
            return _machine.IsFrozen && HasEffect(request)
                ? HoldBack(connection, prelude, request, lengths, places)
                : Dispatch(connection, session, prelude, request, lengths, places);
        }
#pragma warning disable CA1031 // whatever goes wrong with one request is its caller's answer, and nobody else's
        catch (Exception error)
#pragma warning restore CA1031
        {
            FreeLoaned((ClientSession)connection.State!, frameLengths, places);
            return Refuse(connection, prelude, error);
        }
        finally
        {
            _meter.Leave();
        }
    }

    /// <summary>A copy of a header that lasts until the next request comes: enough for all but those that wait for columns or rows.</summary>
    private ReadOnlyMemory<byte> Borrowed(ReadOnlySpan<byte> header)
    {
        if (header.Length > MostKeptHeaderBytes)
            return header.ToArray();
        if (header.Length > _header.Length)
            _header = new byte[Math.Min(MostKeptHeaderBytes, Math.Max(header.Length, _header.Length * 2))];
        header.CopyTo(_header);
        return _header.AsMemory(0, header.Length);
    }

    /// <inheritdoc/>
    public void Disconnected(ServerConnection connection, string reason)
    {
        var session = (ClientSession)connection.State!;
        _meter.Forget(connection);
        DropWaiters(connection);
        DropRoomWaiters(connection);
        SamplerGone(connection);
        if (session.IsGreeted)
            _answers.Disconnect(session.Client);
        if (session.IsShared)
            Unshare(session.Holder);
    }

    /// <inheritdoc/>
    public void Rejected(ServerConnection connection, in Prelude prelude, TransferQueueException why) =>
        Send(connection, prelude.RequestId, ErrorReply.Of(why));

    /// <inheritdoc/>
    public long Tick(long nowMilliseconds) => Math.Min(Math.Min(ExpireWaiters(nowMilliseconds), ExpireWish(nowMilliseconds)), ServeRoom(nowMilliseconds));

    private ReceivePlan Dispatch(ServerConnection connection, ClientSession session, in Prelude prelude, Request request, long[] lengths, ReadOnlySpan<ulong> places)
    {
        if (!HasEffect(request))
        {
            Answer(connection, session, prelude, request);
            return ReceivePlan.None;
        }
        Guid client = session.Client;
        RequestState state = _answers.Begin(client, prelude.RequestId, prelude.Acknowledged, out RememberedAnswer? answer);
        if (state == RequestState.Answered)
        {
            _counters.Repeat();
            SendHeader(connection, prelude.RequestId, (MessageType)answer!.Type, answer.Header);
            return ReceivePlan.Skip;
        }
        if (state == RequestState.Running)
        {
            _calls[(client, prelude.RequestId)].Connection = connection;
            return ReceivePlan.Skip;
        }
        var call = new Call(connection, client, prelude.RequestId);
        _calls.Add((client, prelude.RequestId), call);
        try
        {
            return Start(call, prelude, request, lengths, places);
        }
        catch
        {
            Drop(call);
            throw;
        }
    }

    private ReceivePlan Start(Call call, in Prelude prelude, Request request, long[] lengths, ReadOnlySpan<ulong> places)
    {
        if (request is PutRequest put)
            return StartPut(call, put, lengths, places, (long)prelude.PayloadBytes, Deadline(prelude));
        if (request is ReserveRequest reserve)
        {
            Reserve(call, reserve, Deadline(prelude));
            return ReceivePlan.None;
        }
        if (request is MetaRequest { Mode: MetaMode.Fetch } fetch)
            Fetch(call, fetch, Deadline(prelude));
        else if (request is CheckpointRequest checkpoint)
            Finish(call, Begin(checkpoint, Deadline(prelude)));
        else
            Finish(call, Change(request));
        return ReceivePlan.None;
    }

    /// <summary>A put that is refused uses up its loaned extents as well; if its places were wrong, nothing happens.</summary>
    private void FreeLoaned(ClientSession session, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places)
    {
        if (places.IsEmpty || !session.IsShared)
            return;
        long[] lengths = new long[frameLengths.Length];
        for (int i = 0; i < lengths.Length; i++)
            lengths[i] = unchecked((long)frameLengths[i]);
        if (_storage.Loans.TryTake(session.Client, places, lengths, out TakenExtent?[]? taken, out _))
            _storage.EndTaken(taken, wasCutOff: false);
    }

    private static bool HasEffect(Request request) => request switch
    {
        PutRequest or ReserveRequest or ClearKeysRequest or ClearRowsRequest or ClearPartitionRequest or SetTagsRequest or ResetConsumptionRequest or CheckpointRequest or SetSamplerRequest
            => true,
        MetaRequest meta => meta.Mode != MetaMode.ForceFetch,
        RetrieveMetaRequest retrieve => retrieve.Create,
        _ => false,
    };

    private long Deadline(in Prelude prelude) =>
        Environment.TickCount64 + (prelude.TimeoutMilliseconds == 0 ? (long)_options.DefaultTimeout.TotalMilliseconds : prelude.TimeoutMilliseconds);

    private ReceivePlan Refuse(ServerConnection connection, in Prelude prelude, Exception error)
    {
        Fail(connection, prelude.RequestId, error);
        if (connection.State is ClientSession { IsGreeted: false })
            return ReceivePlan.Close;
        return error is LimitExceededException && prelude.PayloadBytes > (ulong)_limits.PayloadBytes ? ReceivePlan.Close : ReceivePlan.Skip;
    }
}

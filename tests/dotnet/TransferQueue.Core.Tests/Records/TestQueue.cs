using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Records;
using TransferQueue.Sampling;
using TransferQueue.Storage;

namespace TransferQueue.Tests.Records;

/// <summary>A controller and a storage over real memory, driven as the core drives them, and the records that it wrote.</summary>
internal sealed unsafe class TestQueue : IDisposable
{
    private readonly NativeBufferPool _scratch = new();

    public TestQueue(int units = 1, long capacityBytes = 64 << 20, long? rowCapacity = null, int preAllocate = 0, ISampler? sampler = null)
    {
        var arenas = Enumerable.Range(0, units).Select(_ => new StorageUnit(new ExtentAllocator(new Arena(new ArenaOptions { CapacityBytes = capacityBytes }))));
        Options = new ControllerOptions { PreAllocate = preAllocate };
        State = new StateMachine(new Controller(Options, sampler), new StorageManager([.. arenas], _scratch, new StorageOptions { RowCapacity = rowCapacity }))
        {
            Applied = record => Log.Add(RecordWriter.Write(record)),
        };
    }

    public StateMachine State { get; }

    public Controller Controller => State.Controller;

    public StorageManager Storage => State.Storage;

    public ControllerOptions Options { get; }

    /// <summary>The records so far, encoded.</summary>
    public List<byte[]> Log { get; } = [];

    /// <summary>Puts columns and tags as a client does: header, check, room, frames, verification, record.</summary>
    public FoundRows[] Put(PutRequest request, params TestColumn[] columns)
    {
        request = request with { Columns = [.. columns.Select(column => new ColumnDescriptor(column.Name, column.Layout))] };
        State.CheckPut(request, columns.Sum(column => (long)column.Frame().Length));
        return State.Put(request, columns.Length == 0 ? null : Receive(request, columns));
    }

    public FoundRows[] PutKeys(string partition, string[] keys, params TestColumn[] columns) => Put(ByKeys(partition, keys), columns);

    /// <summary>The room of a put with its frames received.</summary>
    public PutReservation Receive(PutRequest request, TestColumn[] columns)
    {
        byte[][] frames = [.. columns.Select(column => column.Frame())];
        PutReservation reservation = Storage.Reserve(request.Rows, request.Columns, [.. frames.Select(frame => (long)frame.Length)]);
        Fill(reservation, frames);
        try
        {
            reservation.Verify();
        }
        catch (TransferQueueException)
        {
            Storage.Abandon(reservation);
            throw;
        }
        return reservation;
    }

    /// <summary>Writes frames into a reservation as the transport does: one stream over all segments.</summary>
    public static void Fill(PutReservation reservation, byte[][] frames)
    {
        byte[] payload = [.. frames.SelectMany(frame => frame)];
        int at = 0;
        foreach (NativeSegment segment in reservation.Segments)
        {
            payload.AsSpan(at, (int)segment.Length).CopyTo(new Span<byte>(segment.Pointer, (int)segment.Length));
            at += (int)segment.Length;
        }
        Xunit.Assert.Equal(payload.Length, at);
    }

    /// <summary>Reads a plan's columns as a client gets them.</summary>
    public Dictionary<string, Cell[]> Read(ReadPlan plan)
    {
        ReadLease lease = Storage.Lease(plan.Rows, plan.Columns);
        using ReplyFrames frames = Storage.Read(lease);
        Dictionary<string, Cell[]> columns = Decode(frames);
        Storage.Return(lease);
        foreach (Cell[] cells in columns.Values)
            Xunit.Assert.Equal(plan.Rows, cells.Length);
        return columns;
    }

    /// <summary>The rows of a reply's frames.</summary>
    public static Dictionary<string, Cell[]> Decode(ReplyFrames frames)
    {
        MemoryStream payload = new();
        foreach (NativeSegment segment in frames.Segments)
            payload.Write(new ReadOnlySpan<byte>(segment.Pointer, checked((int)segment.Length)));
        Xunit.Assert.Equal(frames.FrameLengths.Sum(), payload.Length);
        Dictionary<string, Cell[]> columns = [];
        int at = 0;
        for (int i = 0; i < frames.Columns.Length; i++)
        {
            // A frame of its own: its pieces are aligned from its start.
            byte[] frame = payload.GetBuffer().AsSpan(at, (int)frames.FrameLengths[i]).ToArray();
            columns.Add(frames.Columns[i].Name, TestColumn.Read(frame, frames.Columns[i].Pieces));
            at += frame.Length;
        }
        return columns;
    }

    public Dictionary<string, Cell[]> Get(string partition, string[] keys, params string[] fields) =>
        Read(Controller.PlanReadKeys(partition, [.. keys], fields.Length == 0 ? default : [.. fields]));

    public static PutRequest ByKeys(string partition, string[] keys, params string[] tags) =>
        new(keys.Length, partition, [.. keys], null, tags.Length == 0 ? null : Tags(tags), [], PutWant.None);

    public static PutRequest ByRows(RowSelection rows, params string[] tags) =>
        new(rows.Rows, null, default, rows, tags.Length == 0 ? null : Tags(tags), [], PutWant.None);

    public static PutRequest New(string partition, int rows) => new(rows, partition, default, null, null, [], PutWant.None);

    public static PackedTags Tags(params string[] json) => PackedTags.Parse(json.SelectMany(tag => MessagePackSerializer.ConvertFromJson(tag)).ToArray(), json.Length);

    public static string Json(ReadOnlyMemory<byte> tag) => MessagePackSerializer.ConvertToJson(tag);

    public static string[] Keys(string prefix, int count, int first = 0) => [.. Enumerable.Range(first, count).Select(i => $"{prefix}{i}")];

    /// <summary>The rows of one partition by index and generation.</summary>
    public RowSelection Select(string partition, params long[] indexes) =>
        new([new PartitionRun(partition, indexes.Length)], [.. indexes], [.. indexes.Select(Controller.Pool.Generation)]);

    public RowSelection Select(BatchMeta meta) => new(meta.Partitions, meta.GlobalIndexes, meta.Generations);

    /// <summary>A state machine that has replayed the log, over the same memory.</summary>
    public StateMachine Replay()
    {
        StateMachine replica = new(new Controller(Options), Storage.Following());
        foreach (byte[] record in Log)
            replica.Apply(RecordReader.Read(record));
        return replica;
    }

    public void Dispose()
    {
        Storage.Dispose();
        _scratch.Dispose();
    }
}

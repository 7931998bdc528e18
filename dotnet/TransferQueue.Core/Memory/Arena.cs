namespace TransferQueue.Memory;

/// <summary>
/// Shared memory of one node: segments without a name (memfds, sealed against shrinking, or files of a folder), each mapped once and never unmapped before
/// <see cref="Dispose"/>. A segment has address room from the start; memory is taken from the system in bulk as the allocator asks
/// for it, with <c>fallocate</c>, so that want of memory is an error here and never a SIGBUS at the first touch. What the system has not got is not even asked for: the kernel would kill processes.
/// </summary>
/// <remarks>
/// One thread (the writer) owns it; <see cref="Take"/>, which takes long, may run on another one. <see cref="Address"/> may be read from any
/// thread that was given an extent after it was allocated.
/// </remarks>
internal sealed unsafe class Arena : IDisposable
{
    /// <summary>Bytes of a page.</summary>
    public const long PageBytes = 4096;

    /// <summary>Bytes that one call to the kernel takes: so a stop need not wait for all of a large step.</summary>
    private const long TakenAtOnce = 64L << 20;

    private readonly ArenaOptions _options;
    private readonly SegmentTable _table;

    /// <summary>Replaced, never changed, so that readers on other threads see whole arrays.</summary>
    private volatile ArenaSegment[] _segments = [];

    /// <summary>The step that was planned and is neither committed nor given up. One at a time: a segment grows at its end.</summary>
    private ArenaGrowth? _planned;

    /// <summary>An arena without a segment.</summary>
    /// <param name="options">How it takes memory.</param>
    /// <param name="table">Where its segments get their numbers; null: it is the only arena.</param>
    public Arena(ArenaOptions options, SegmentTable? table = null) => (_options, _table) = (options, table ?? new SegmentTable());

    /// <summary>Called on the writer's thread when a segment exists: the keeper gets a duplicate of its fd.</summary>
    public event Action<ArenaSegment>? SegmentCreated;

    /// <summary>Called on the writer's thread after memory was taken (segment, first byte, bytes): the hook for populating it in the background.</summary>
    public event Action<ArenaSegment, long, long>? Grown;

    /// <summary>Its segments, in the order of their numbers.</summary>
    public IReadOnlyList<ArenaSegment> Segments => _segments;

    /// <summary>Most bytes that are ever taken, whole pages.</summary>
    public long CapacityBytes => RoundUp(_options.CapacityBytes, PageBytes);

    /// <summary>Bytes that were taken from the system so far.</summary>
    public long CommittedBytes { get; private set; }

    /// <summary>Where the byte at <paramref name="offset"/> of a segment is in this process.</summary>
    public byte* Address(int segment, long offset) => _table[segment].Map + offset;

    /// <summary>Makes the first segment now: an arena of files must never do it on the writer's thread.</summary>
    /// <exception cref="TransferQueueException">The file system can't reserve room: a full one would kill processes by SIGBUS.</exception>
    public void Prepare()
    {
        ArenaSegment segment = CreateSegment(RoundUp(Math.Min(_options.SegmentBytes, CapacityBytes), PageBytes));
        if (segment.TryTake(0, PageBytes))
            segment.GiveBack(0, PageBytes);
    }

    /// <summary>Takes memory so that at least <paramref name="bytes"/> more lie side by side at the end of a segment's taken part.</summary>
    /// <param name="bytes">Wanted bytes, &gt; 0.</param>
    /// <param name="free">Bytes at the end of the last segment's taken part that are free already and count towards the wish.</param>
    /// <param name="grown">Segment, first new byte, new bytes.</param>
    /// <returns>False if the capacity doesn't allow it.</returns>
    /// <exception cref="StorageFullException">The system has no memory for it.</exception>
    public bool TryGrow(long bytes, long free, out (int Segment, long Offset, long Bytes) grown)
    {
        grown = default;
        if (Fitting(bytes, free, out long needed) is null && needed <= CapacityBytes - CommittedBytes)
            AskSystem(needed); // before there is an empty segment
        if (PlanGrowth(bytes, free) is not { } growth)
            return false;
        try
        {
            Take(growth);
        }
        catch (TransferQueueException)
        {
            GiveUp(growth);
            throw;
        }
        grown = Commit(growth);
        return true;
    }

    /// <summary>Plans what <see cref="TryGrow"/> does at once, and makes the segment if there is none with room. Then <see cref="Take"/>, then <see cref="Commit"/> or <see cref="GiveUp"/>.</summary>
    /// <returns>Null if the capacity doesn't allow it, or another step is on its way.</returns>
    public ArenaGrowth? PlanGrowth(long bytes, long free)
    {
        if (_planned is not null)
            return null;
        ArenaSegment? segment = Fitting(bytes, free, out long needed);
        if (needed <= 0 || needed > CapacityBytes - CommittedBytes)
            return null;
        if (segment is null)
        {
            long length = Math.Max(needed, Math.Min(_options.SegmentBytes, CapacityBytes - CommittedBytes));
            segment = CreateSegment(RoundUp(length, PageBytes));
        }
        long left = Math.Min(segment.Length - segment.CommittedBytes, CapacityBytes - CommittedBytes);
        long wished = Math.Min(left, RoundUp(needed, RoundUp(_options.GrowthBytes, PageBytes)));
        return _planned = new ArenaGrowth(segment, segment.CommittedBytes, needed, wished);
    }

    /// <summary>Takes the memory of a planned step from the system. Any one thread; may last a second per 3 GB.</summary>
    /// <exception cref="StorageFullException">The system hasn't got as much as is needed; it keeps all of it.</exception>
    public void Take(ArenaGrowth growth)
    {
        long remaining = AskSystem(growth.NeededBytes);
        long wished = Math.Min(growth.WishedBytes, Math.Max(growth.NeededBytes, remaining / PageBytes * PageBytes));
        long taken = 0;
        while (taken < wished && growth.Segment.TryTake(growth.Offset + taken, Math.Min(TakenAtOnce, wished - taken)))
            taken += Math.Min(TakenAtOnce, wished - taken);
        if (taken < growth.NeededBytes)
        {
            growth.Segment.GiveBack(growth.Offset, wished);
            throw Scarce(growth.NeededBytes, taken);
        }
        if (taken < wished)
            growth.Segment.GiveBack(growth.Offset + taken, wished - taken); // a file system may have kept a part of what it refused
        growth.TakenBytes = taken;
    }

    /// <summary>Counts memory that was taken as the arena's.</summary>
    /// <returns>Segment, first new byte, new bytes.</returns>
    public (int Segment, long Offset, long Bytes) Commit(ArenaGrowth growth)
    {
        GiveUp(growth);
        growth.Segment.CommittedBytes += growth.TakenBytes;
        CommittedBytes += growth.TakenBytes;
        Grown?.Invoke(growth.Segment, growth.Offset, growth.TakenBytes);
        return (growth.Segment.Number, growth.Offset, growth.TakenBytes);
    }

    /// <summary>Forgets a step whose <see cref="Take"/> failed.</summary>
    public void GiveUp(ArenaGrowth growth)
    {
        if (!ReferenceEquals(_planned, growth))
            throw new InvalidOperationException("arena: a step of growth ends that was not planned, or ended before");
        _planned = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ArenaSegment[] segments = _segments;
        _segments = [];
        foreach (ArenaSegment segment in segments)
            segment.Dispose();
    }

    internal static long RoundUp(long bytes, long unit) => (bytes + unit - 1) / unit * unit;

    /// <summary>The segment with address room for the wish, and the bytes that must be taken for it; null: a new one is needed.</summary>
    private ArenaSegment? Fitting(long bytes, long free, out long missing)
    {
        ArenaSegment[] segments = _segments;
        for (int i = segments.Length - 1; i >= 0; i--)
        {
            missing = RoundUp(i == segments.Length - 1 ? bytes - free : bytes, PageBytes);
            if (missing <= segments[i].Length - segments[i].CommittedBytes)
                return segments[i];
        }
        missing = RoundUp(bytes, PageBytes);
        return null;
    }

    /// <returns>Bytes that the system can spare, at least the needed ones.</returns>
    private long AskSystem(long needed)
    {
        long remaining = _options.RemainingBytes() - _options.ReserveBytes;
        return needed <= remaining ? remaining : throw Scarce(needed, remaining);
    }

    private StorageFullException Scarce(long needed, long remaining) => new(
        _options.Folder is { } folder
            ? $"offload: {needed} more bytes in {folder.Name} asked, its file system can spare {Math.Max(0, remaining)} beyond the {_options.ReserveBytes} that are left to others; "
                + $"{CommittedBytes} bytes are taken; clear partitions that are done, or delete files there"
            : $"arena: {needed} more bytes of shared memory asked, the system can spare {Math.Max(0, remaining)}; {CommittedBytes} of {CapacityBytes} bytes are "
                + "taken; clear partitions that are done, or end other processes that need memory");

    private ArenaSegment CreateSegment(long length)
    {
        ArenaSegment segment = _table.Add(number => ArenaSegment.Create(number, length, _options.Folder));
        _segments = [.. _segments, segment];
        SegmentCreated?.Invoke(segment);
        return segment;
    }
}

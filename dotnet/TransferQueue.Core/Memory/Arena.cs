namespace TransferQueue.Memory;

/// <summary>
/// Shared memory of one node: memfd segments without a name, sealed against shrinking, each mapped once and never unmapped before
/// <see cref="Dispose"/>. A segment has address room from the start; memory is taken from the system in bulk as the allocator asks
/// for it, with <c>fallocate</c>, so that want of memory is an error here and never a SIGBUS at the first touch. What the system has not got is not even asked for: the kernel would kill processes.
/// </summary>
/// <remarks>One thread (the writer) grows it. <see cref="Address"/> may be read from any thread that was given an extent after it was allocated.</remarks>
internal sealed unsafe class Arena : IDisposable
{
    /// <summary>Bytes of a page.</summary>
    public const long PageBytes = 4096;

    private readonly ArenaOptions _options;

    /// <summary>Replaced, never changed, so that readers on other threads see whole arrays.</summary>
    private volatile ArenaSegment[] _segments = [];

    public Arena(ArenaOptions options) => _options = options;

    /// <summary>Called on the writer's thread when a segment exists: the keeper gets a duplicate of its fd.</summary>
    public event Action<ArenaSegment>? SegmentCreated;

    /// <summary>Called on the writer's thread after memory was taken (segment, first byte, bytes): the hook for populating it in the background.</summary>
    public event Action<ArenaSegment, long, long>? Grown;

    /// <summary>All segments, in the order of their numbers.</summary>
    public IReadOnlyList<ArenaSegment> Segments => _segments;

    /// <summary>Most bytes that are ever taken, whole pages.</summary>
    public long CapacityBytes => RoundUp(_options.CapacityBytes, PageBytes);

    /// <summary>Bytes that were taken from the system so far.</summary>
    public long CommittedBytes { get; private set; }

    /// <summary>Where the byte at <paramref name="offset"/> of a segment is in this process.</summary>
    public byte* Address(int segment, long offset) => _segments[segment].Map + offset;

    /// <summary>Takes memory so that at least <paramref name="bytes"/> more lie side by side at the end of a segment's taken part.</summary>
    /// <param name="bytes">Wanted bytes, &gt; 0.</param>
    /// <param name="free">Bytes at the end of the last segment's taken part that are free already and count towards the wish.</param>
    /// <param name="grown">Segment, first new byte, new bytes.</param>
    /// <returns>False if the capacity doesn't allow it.</returns>
    /// <exception cref="StorageFullException">The system has no memory for it.</exception>
    public bool TryGrow(long bytes, long free, out (int Segment, long Offset, long Bytes) grown)
    {
        grown = default;
        ArenaSegment[] segments = _segments;
        for (int i = segments.Length - 1; i >= 0; i--)
        {
            long missing = RoundUp(i == segments.Length - 1 ? bytes - free : bytes, PageBytes);
            if (missing <= segments[i].Length - segments[i].CommittedBytes)
                return TryCommit(segments[i], missing, out grown);
        }
        long needed = RoundUp(bytes, PageBytes);
        if (needed > CapacityBytes - CommittedBytes)
            return false;
        AskSystem(needed); // before there is an empty segment
        long length = Math.Max(needed, Math.Min(_options.SegmentBytes, CapacityBytes - CommittedBytes));
        return TryCommit(CreateSegment(RoundUp(length, PageBytes)), needed, out grown);
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

    private bool TryCommit(ArenaSegment segment, long needed, out (int Segment, long Offset, long Bytes) grown)
    {
        long left = Math.Min(segment.Length - segment.CommittedBytes, CapacityBytes - CommittedBytes);
        long wished = Math.Min(left, RoundUp(needed, RoundUp(_options.GrowthBytes, PageBytes)));
        grown = default;
        if (needed > left)
            return false;
        long remaining = AskSystem(needed);
        long offset = segment.CommittedBytes;
        long taken = Math.Min(wished, Math.Max(needed, remaining / PageBytes * PageBytes));
        if (!segment.TryCommit(taken))
            throw Scarce(needed, 0);
        CommittedBytes += taken;
        grown = (segment.Number, offset, taken);
        Grown?.Invoke(segment, offset, taken);
        return true;
    }

    /// <returns>Bytes that the system can spare, at least the needed ones.</returns>
    private long AskSystem(long needed)
    {
        long remaining = _options.RemainingBytes() - _options.ReserveBytes;
        return needed <= remaining ? remaining : throw Scarce(needed, remaining);
    }

    private StorageFullException Scarce(long needed, long remaining) => new(
        $"arena: {needed} more bytes of shared memory asked, the system can spare {Math.Max(0, remaining)}; {CommittedBytes} of {CapacityBytes} bytes are "
        + "taken; clear partitions that are done, or end other processes that need memory");

    private ArenaSegment CreateSegment(long length)
    {
        ArenaSegment segment = ArenaSegment.Create(_segments.Length, length);
        _segments = [.. _segments, segment];
        SegmentCreated?.Invoke(segment);
        return segment;
    }
}

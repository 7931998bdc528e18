using TransferQueue.Columns;

namespace TransferQueue.Memory;

/// <summary>
/// Gives out extents of an <see cref="Arena"/>. Its bookkeeping is private memory, so that no client can damage it. Extents are aligned to
/// 64 bytes; from 64 KiB on they own whole pages alone. Room that came back last is given out first, because its pages are warm.
/// </summary>
/// <remarks>Not thread-safe: the writer's thread only; <see cref="Address"/> alone from any thread, for an extent that its caller holds.</remarks>
internal sealed unsafe class ExtentAllocator : IDisposable
{
    /// <summary>Extents of at least this many bytes own whole pages.</summary>
    public const long PageExtentBytes = FramePlace.SmallestBytes;

    /// <summary>Alignment of every extent.</summary>
    public const long AlignmentBytes = ColumnLayout.Alignment;

    /// <summary>Room that small extents share.</summary>
    private const long ChunkBytes = 1 << 20;

    /// <summary>A position in the heaps is segment × 2^48 + offset.</summary>
    private const int SegmentShift = 48;

    private readonly Arena _arena;
    private readonly BlockHeap _pages = new(Arena.PageBytes);
    private readonly BlockHeap _small = new(AlignmentBytes);

    /// <summary>Region in the pages' heap of each segment.</summary>
    private readonly List<int> _segmentRegions = [];

    /// <summary>The shared chunk behind each region of the small heap (position, bytes, epoch).</summary>
    private readonly Dictionary<int, (long Position, long Bytes, uint Epoch)> _chunks = [];

    private uint _epoch;

    public ExtentAllocator(Arena arena) => _arena = arena;

    /// <summary>Most bytes that extents may take.</summary>
    public long CapacityBytes => _arena.CapacityBytes;

    /// <summary>Bytes that extents take, with their rounding.</summary>
    public long UsedBytes { get; private set; }

    /// <summary>Bytes that further extents may take, in whatever pieces.</summary>
    public long FreeBytes => CapacityBytes - UsedBytes;

    /// <summary>Bytes of the longest free stretch of whole pages that was taken from the system: what the largest extent can have now. For error texts.</summary>
    public long LongestFreeBytes => _pages.LargestFreeBytes();

    /// <summary>Bytes that were taken from the system; grows only.</summary>
    public long CommittedBytes => _arena.CommittedBytes;

    /// <summary>Extents that are given out.</summary>
    public int ExtentCount => _pages.AllocatedCount + _small.AllocatedCount - _chunks.Count;

    /// <summary>The epoch of the extent that was given out last; it grows with each one, and begins anew behind 2^32 − 1.</summary>
    public uint LastEpoch => _epoch;

    /// <summary>The arena.</summary>
    public Arena Arena => _arena;

    /// <summary>Gives out an extent; takes memory from the system where it must, which may take long.</summary>
    /// <param name="bytes">Its length, 0 or more. The contents are whatever was there.</param>
    /// <exception cref="StorageFullException">There is no room; nothing has changed.</exception>
    public ExtentRef Allocate(long bytes) => TryAllocate(bytes, mayGrow: true, out ExtentRef extent) ? extent : throw Full(bytes);

    /// <summary>Gives out an extent of memory that was taken from the system already: a matter of a microsecond.</summary>
    /// <returns>False if there is no room in it; nothing has changed.</returns>
    public bool TryAllocate(long bytes, out ExtentRef extent) => TryAllocate(bytes, mayGrow: false, out extent);

    /// <summary>Plans to take memory so that an extent of so many bytes will fit; see <see cref="Arena.PlanGrowth"/>.</summary>
    /// <returns>Null if the capacity is used up, or growth is on its way.</returns>
    public ArenaGrowth? PlanGrowth(long bytes) =>
        _arena.PlanGrowth(Math.Max(bytes, ChunkBytes), FreeAtEnd) ?? _arena.PlanGrowth(_pages.RoundUp(bytes), FreeAtEnd)
        ?? (CapacityBytes > CommittedBytes ? _arena.PlanGrowth(CapacityBytes - CommittedBytes, 0) : null);

    /// <summary>Makes memory that was taken by plan fit for allocation.</summary>
    public void Commit(ArenaGrowth growth) => Extend(_arena.Commit(growth));

    /// <summary>What an extent really takes.</summary>
    public long RoundUp(long bytes) => (bytes < PageExtentBytes ? _small : _pages).RoundUp(bytes);

    /// <summary>Takes an extent back, exactly as it was given out (no slice of one).</summary>
    /// <exception cref="TransferQueueException">It is not given out: a fault of ours, nothing has changed.</exception>
    public void Free(ExtentRef extent)
    {
        bool isSmall = extent.Length < PageExtentBytes;
        BlockHeap heap = isSmall ? _small : _pages;
        if (!heap.TryFree(PositionOf(extent), extent.Length, extent.Epoch, out int region))
            throw new TransferQueueException(ErrorKind.TransferQueue, $"allocator: freeing {extent}, which is not given out");
        UsedBytes -= heap.RoundUp(extent.Length);
        if (isSmall)
            ReturnChunk(region);
    }

    /// <summary>Whether exactly this extent is given out now, in this life.</summary>
    public bool Contains(ExtentRef extent) =>
        (extent.Length < PageExtentBytes ? _small : _pages).Contains(PositionOf(extent), extent.Length, extent.Epoch);

    /// <summary>Where an extent, or a slice of one, begins in this process. Any thread.</summary>
    public byte* Address(ExtentRef extent) => _arena.Address(extent.Segment, extent.Offset);

    /// <summary>An extent, or a slice of one, as native memory. Any thread.</summary>
    public NativeSegment Segment(ExtentRef extent) => NativeSegment.At(Address(extent), extent.Length);

    /// <inheritdoc/>
    public void Dispose() => _arena.Dispose();

    private static long PositionOf(ExtentRef extent) => ((long)extent.Segment << SegmentShift) | extent.Offset;

    private uint NextEpoch() => _epoch = Math.Max(1, unchecked(_epoch + 1)); // 0 says "free" in the heap

    /// <summary>Bytes that are free at the end of what was taken.</summary>
    private long FreeAtEnd => _segmentRegions is [] or [.., BlockHeap.None] ? 0 : _pages.FreeAtEnd(_segmentRegions[^1]);

    private bool TryAllocate(long bytes, bool mayGrow, out ExtentRef extent)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        extent = default;
        bool isSmall = bytes < PageExtentBytes;
        long rounded = bytes > CapacityBytes ? bytes : RoundUp(bytes);
        if (rounded > FreeBytes)
            return false;
        uint epoch = NextEpoch();
        long position = isSmall ? AllocateSmall(bytes, epoch, mayGrow) : AllocatePages(bytes, epoch, mayGrow);
        if (position < 0)
            return false;
        UsedBytes += rounded;
        extent = new ExtentRef((int)(position >> SegmentShift), position & ((1L << SegmentShift) - 1), bytes, epoch);
        return true;
    }

    /// <returns>The position, or −1.</returns>
    private long AllocatePages(long bytes, uint epoch, bool mayGrow)
    {
        if (_pages.TryAllocate(bytes, epoch, out long position))
            return position;
        if (!mayGrow || !_arena.TryGrow(bytes, FreeAtEnd, out var grown))
            return -1;
        Extend(grown);
        return _pages.TryAllocate(bytes, epoch, out position) ? position : -1;
    }

    private void Extend((int Segment, long Offset, long Bytes) grown)
    {
        long start = ((long)grown.Segment << SegmentShift) | grown.Offset;
        while (grown.Segment > _segmentRegions.Count)
            _segmentRegions.Add(BlockHeap.None); // a segment that was made, but whose memory the system hadn't got
        if (grown.Segment == _segmentRegions.Count)
            _segmentRegions.Add(_pages.AddRegion(start, grown.Bytes));
        else if (_segmentRegions[grown.Segment] == BlockHeap.None)
            _segmentRegions[grown.Segment] = _pages.AddRegion(start, grown.Bytes);
        else
            _pages.ExtendRegion(_segmentRegions[grown.Segment], start, grown.Bytes);
    }

    private long AllocateSmall(long bytes, uint epoch, bool mayGrow)
    {
        if (_small.TryAllocate(bytes, epoch, out long position))
            return position;
        long least = _pages.RoundUp(bytes);
        long chunk = ChunkBytes;
        long start = AllocatePages(chunk, epoch, mayGrow);
        if (start < 0 && least < chunk)
            start = AllocatePages(chunk = least, epoch, mayGrow); // the arena is nearly full: no room to share
        if (start < 0)
            return -1;
        _chunks.Add(_small.AddRegion(start, chunk), (start, chunk, epoch));
        return _small.TryAllocate(bytes, epoch, out position) ? position : -1;
    }

    /// <summary>Gives a chunk's pages back when nothing of it is used and the others have room.</summary>
    private void ReturnChunk(int region)
    {
        if (!_small.IsUnused(region) || _small.FreeBytes < 2 * ChunkBytes)
            return;
        (long position, long bytes, uint epoch) = _chunks[region];
        _chunks.Remove(region);
        _small.RemoveRegion(region);
        _pages.TryFree(position, bytes, epoch, out _);
    }

    private StorageFullException Full(long bytes) => new(
        $"storage: {bytes} bytes asked, {FreeBytes} of {CapacityBytes} bytes are free (largest piece in memory "
        + $"{LongestFreeBytes}, {CapacityBytes - CommittedBytes} bytes not taken from the system yet, {ExtentCount} extents "
        + "in use); clear partitions that are done, or start with a larger capacity");
}

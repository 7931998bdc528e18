using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>One node's memory for columns: gives out extents, counts who reads them, frees them when nobody does.</summary>
/// <remarks>
/// Writer thread only, but for <see cref="Segment"/>. An extent is freed when it was released and its last lease ended.
/// A unit that follows another one (<see cref="Following"/>) sees the same bytes and frees none.
/// </remarks>
internal sealed class StorageUnit : IDisposable
{
    private readonly ExtentAllocator _allocator;
    private readonly ArenaGrower? _grower;
    private readonly bool _isOwner;

    /// <summary>Extents with readers, by the place where they begin. Values, changed where they lie: a get of rows that were put one by one reads thousands of extents.</summary>
    private readonly Dictionary<ulong, Lease> _leases = [];

    /// <summary>Extents that would have been freed but for a checkpoint.</summary>
    private readonly Queue<ExtentRef> _held = new();

    /// <summary>The epoch of the last extent that a checkpoint needs; null: none is being written.</summary>
    private uint? _heldUpTo;

    /// <summary>A unit that owns its allocator.</summary>
    /// <param name="allocator">Its memory.</param>
    /// <param name="grower">What takes memory from the system in the background; null: the caller's thread does it when it allocates.</param>
    public StorageUnit(ExtentAllocator allocator, ArenaGrower? grower = null)
        : this(allocator, grower, isOwner: true)
    {
    }

    private StorageUnit(ExtentAllocator allocator, ArenaGrower? grower, bool isOwner) => (_allocator, _grower, _isOwner) = (allocator, grower, isOwner);

    /// <summary>Bytes that extents may take.</summary>
    public long CapacityBytes => _allocator.CapacityBytes;

    /// <summary>Bytes that extents take.</summary>
    public long UsedBytes => _allocator.UsedBytes;

    /// <summary>Bytes of the longest free stretch; a column must lie in one. For error texts.</summary>
    public long LongestFreeBytes => _allocator.LongestFreeBytes;

    /// <summary>Bytes that it took from the system; grows only.</summary>
    public long CommittedBytes => _allocator.CommittedBytes;

    /// <summary>Extents that are given out.</summary>
    public int ExtentCount => _allocator.ExtentCount;

    /// <summary>Extents that somebody reads.</summary>
    public int LeasedCount => _leases.Count;

    /// <summary>Bytes of extents that nobody needs any more but a checkpoint that is being written.</summary>
    public long HeldBytes { get; private set; }

    /// <summary>Extents that were freed so far: who waits for room looks again when it has changed.</summary>
    public long FreedCount { get; private set; }

    /// <summary>Why there is no more memory, if the system had none; else null.</summary>
    public TransferQueueException? GrowthFailure => _grower?.Failure;

    /// <summary>A unit over the same memory that replays records: it never allocates or frees.</summary>
    public StorageUnit Following() => new(_allocator, null, isOwner: false);

    /// <summary>Gives out an extent.</summary>
    /// <exception cref="StorageFullException">There is no room; nothing has changed.</exception>
    public ExtentRef Allocate(long bytes) => _allocator.Allocate(bytes);

    /// <summary>Gives out an extent, if there is room for it now; a unit with a grower takes nothing from the system here.</summary>
    public bool TryAllocate(long bytes, out ExtentRef extent)
    {
        if (_grower is not null)
            return _allocator.TryAllocate(bytes, out extent);
        try
        {
            extent = _allocator.Allocate(bytes);
            return true;
        }
        catch (StorageFullException)
        {
            extent = default;
            return false;
        }
    }

    /// <summary>Begins to take memory from the system for an extent of so many bytes.</summary>
    /// <returns>Whether more memory is on its way.</returns>
    public bool TryGrow(long bytes) => _grower?.TryStart(bytes) ?? false;

    /// <summary>What an extent of so many bytes really takes.</summary>
    public long RoundUp(long bytes) => _allocator.RoundUp(bytes);

    /// <summary>Whether an extent was released and only its readers keep it.</summary>
    public bool IsOnlyRead(ExtentRef extent) => _leases.TryGetValue(Begin(extent), out Lease lease) && lease.IsReleased;

    /// <summary>The bytes of an extent that the caller holds. Any thread.</summary>
    public NativeSegment Segment(ExtentRef extent) => _allocator.Segment(extent);

    /// <summary>Nobody points to the extent any more: it is freed now, or when its last reader has gone.</summary>
    public void Release(ExtentRef extent)
    {
        ref Lease lease = ref CollectionsMarshal.GetValueRefOrNullRef(_leases, Begin(extent));
        if (Unsafe.IsNullRef(ref lease))
            Free(extent);
        else
            lease.IsReleased = true;
    }

    /// <summary>Counts a reader of a whole extent, once however often it is named.</summary>
    /// <param name="extent">The extent.</param>
    /// <param name="reader">The reader's number, ≥ 1; no other reader is counted between two calls for one.</param>
    /// <returns>Whether it was counted now.</returns>
    public bool TryAddReader(ExtentRef extent, long reader)
    {
        ref Lease lease = ref CollectionsMarshal.GetValueRefOrAddDefault(_leases, Begin(extent), out _);
        if (lease.Last == reader)
            return false;
        lease.Last = reader;
        lease.Readers++;
        return true;
    }

    /// <summary>A reader has gone.</summary>
    public void RemoveReader(ExtentRef extent)
    {
        ref Lease lease = ref CollectionsMarshal.GetValueRefOrNullRef(_leases, Begin(extent));
        if (--lease.Readers > 0)
            return;
        bool isReleased = lease.IsReleased;
        _leases.Remove(Begin(extent));
        if (isReleased)
            Free(extent);
    }

    /// <summary>Keeps every extent that there is now, whoever releases it, until <see cref="EndHold"/>: one step, however many there are.</summary>
    public void Hold() => _heldUpTo = _allocator.LastEpoch;

    /// <summary>Ends the hold; <see cref="FreeHeld"/> then frees what was released meanwhile.</summary>
    public void EndHold() => _heldUpTo = null;

    /// <summary>Frees at most <paramref name="most"/> of the extents that were kept.</summary>
    /// <returns>Whether more are left.</returns>
    public bool FreeHeld(int most)
    {
        if (_heldUpTo is not null)
            return false; // another checkpoint is being written; its end frees them
        for (; most > 0 && _held.TryDequeue(out ExtentRef extent); most--)
        {
            HeldBytes -= extent.Length;
            Free(extent);
        }
        return _held.Count > 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isOwner)
            _allocator.Dispose();
    }

    private void Free(ExtentRef extent)
    {
        if (!_isOwner)
            return;
        if (_heldUpTo is { } last && unchecked((int)(extent.Epoch - last)) <= 0)
        {
            _held.Enqueue(extent);
            HeldBytes += extent.Length;
            return;
        }
        _allocator.Free(extent);
        FreedCount++;
    }

    private static ulong Begin(ExtentRef extent) => FramePlace.Of(extent.Segment, extent.Offset);

    /// <summary>The readers of an extent, and whether it is to be freed after them.</summary>
    private struct Lease
    {
        public int Readers;

        /// <summary>The reader that was counted last.</summary>
        public long Last;
        public bool IsReleased;
    }
}

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
    private readonly bool _isOwner;

    /// <summary>Extents with readers, by where they begin.</summary>
    private readonly Dictionary<(int Segment, long Offset), Lease> _leases = [];

    /// <summary>A unit that owns its allocator.</summary>
    public StorageUnit(ExtentAllocator allocator)
        : this(allocator, isOwner: true)
    {
    }

    private StorageUnit(ExtentAllocator allocator, bool isOwner) => (_allocator, _isOwner) = (allocator, isOwner);

    /// <summary>Bytes that extents may take.</summary>
    public long CapacityBytes => _allocator.CapacityBytes;

    /// <summary>Bytes that extents take.</summary>
    public long UsedBytes => _allocator.UsedBytes;

    /// <summary>Extents that are given out.</summary>
    public int ExtentCount => _allocator.ExtentCount;

    /// <summary>Extents that somebody reads.</summary>
    public int LeasedCount => _leases.Count;

    /// <summary>A unit over the same memory that replays records: it never allocates or frees.</summary>
    public StorageUnit Following() => new(_allocator, isOwner: false);

    /// <summary>Gives out an extent.</summary>
    /// <exception cref="StorageFullException">There is no room; nothing has changed.</exception>
    public ExtentRef Allocate(long bytes) => _allocator.Allocate(bytes);

    /// <summary>The bytes of an extent that the caller holds. Any thread.</summary>
    public NativeSegment Segment(ExtentRef extent) => _allocator.Segment(extent);

    /// <summary>Nobody points to the extent any more: it is freed now, or when its last reader has gone.</summary>
    public void Release(ExtentRef extent)
    {
        if (_leases.TryGetValue((extent.Segment, extent.Offset), out Lease? lease))
            lease.Released = extent;
        else
            Free(extent);
    }

    /// <summary>Counts a reader.</summary>
    public void AddReader(ExtentRef extent)
    {
        if (!_leases.TryGetValue((extent.Segment, extent.Offset), out Lease? lease))
            _leases.Add((extent.Segment, extent.Offset), lease = new Lease());
        lease.Readers++;
    }

    /// <summary>A reader has gone.</summary>
    public void RemoveReader(ExtentRef extent)
    {
        Lease lease = _leases[(extent.Segment, extent.Offset)];
        if (--lease.Readers > 0)
            return;
        _leases.Remove((extent.Segment, extent.Offset));
        if (lease.Released is { } released)
            Free(released);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isOwner)
            _allocator.Dispose();
    }

    private void Free(ExtentRef extent)
    {
        if (_isOwner)
            _allocator.Free(extent);
    }

    /// <summary>The readers of an extent, and that it is to be freed after them.</summary>
    private sealed class Lease
    {
        public int Readers;
        public ExtentRef? Released;
    }
}

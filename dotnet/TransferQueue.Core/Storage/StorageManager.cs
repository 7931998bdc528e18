using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>
/// Where the bytes of columns are: makes room for puts over one or more units, keeps what somebody reads, frees the rest.
/// </summary>
/// <remarks>Writer thread only, but for <see cref="Segment(StoredColumn)"/> and <see cref="Counters"/>.</remarks>
internal sealed partial class StorageManager : IDisposable
{
    /// <summary>The units of memory, and behind them that of files, if there is one.</summary>
    private readonly ImmutableArray<StorageUnit> _units;

    /// <summary>The units of memory, over which rows are spread.</summary>
    private readonly ImmutableArray<StorageUnit> _memory;

    /// <summary>How many they are; the index of the unit of files.</summary>
    private readonly int _memoryUnits;
    private readonly StorageOptions _options;
    private readonly NativeBufferPool _scratch;

    /// <summary>The unit that gets the first rows of the next put: so small puts spread over all.</summary>
    private int _next;

    /// <summary>Makes a storage over <paramref name="units"/>, which it owns.</summary>
    /// <param name="units">At least one.</param>
    /// <param name="scratch">Where columns are cut and replies are made; the caller owns it.</param>
    /// <param name="options">Limits.</param>
    /// <param name="files">A unit whose arena lies in files, for large frames; null: there is none.</param>
    public StorageManager(ImmutableArray<StorageUnit> units, NativeBufferPool scratch, StorageOptions? options = null, StorageUnit? files = null)
    {
        if (units.IsDefaultOrEmpty)
            throw new InvalidArgumentException("storage: no unit; give at least one");
        (_units, _scratch, _options) = (files is null ? units : units.Add(files), scratch, options ?? new());
        (_memory, _memoryUnits, Files) = (units, units.Length, files);
        Leases = new LeaseBook(End);
    }

    /// <summary>The units, with that of files.</summary>
    public ImmutableArray<StorageUnit> Units => _units;

    /// <summary>The unit whose arena lies in files; null: there is none.</summary>
    public StorageUnit? Files { get; }

    /// <summary>What puts and gets have cost so far.</summary>
    public StorageCounters Counters { get; } = new();

    /// <summary>Bytes that extents may take in memory.</summary>
    public long CapacityBytes => _memory.Sum(unit => unit.CapacityBytes);

    /// <summary>Bytes that one put may have: memory, and what files may take.</summary>
    public long MostPutBytes => CapacityBytes + (Files?.CapacityBytes ?? 0);

    /// <summary>Bytes of values that one reply may have: a short request that repeats rows must not ask for any amount.</summary>
    public long MostReplyBytes => Math.Max(CapacityBytes + (Files?.CommittedBytes ?? 0), 1L << 30);

    /// <summary>Bytes that extents take in memory, reserved ones included.</summary>
    public long UsedBytes => _memory.Sum(unit => unit.UsedBytes);

    /// <summary>Bytes of memory that were taken from the system; grows only.</summary>
    public long CommittedBytes => _memory.Sum(unit => unit.CommittedBytes);

    /// <summary>A storage over the same memory for replaying records: it never allocates or frees.</summary>
    public StorageManager Following() => new([.. _memory.Select(unit => unit.Following())], _scratch, _options, Files?.Following());

    /// <summary>Checks that <paramref name="gained"/> more rows may have cells.</summary>
    /// <param name="stored">Rows that have some now.</param>
    /// <param name="gained">Rows that will have some after the put.</param>
    /// <exception cref="StorageFullException">That would be more than <see cref="StorageOptions.RowCapacity"/>.</exception>
    public void CheckRows(long stored, int gained)
    {
        if (gained > 0 && _options.RowCapacity is { } most && stored + gained > most)
            throw new StorageFullException(
                $"storage: Storage capacity exceeded: {gained} more rows asked, {stored} of {most} rows are used; "
                + "clear rows that are done, or raise total_storage_size");
    }

    /// <summary>The bytes of a stored column that the caller holds. Any thread.</summary>
    public NativeSegment Segment(StoredColumn column) => _units[column.Unit].Segment(column.Extent);

    /// <summary>The bytes of an extent that the caller holds. Any thread.</summary>
    public NativeSegment Segment(OwnedExtent extent) => _units[extent.Unit].Segment(extent.Extent);

    /// <summary>Nobody points to these columns any more: they are freed when their last reader has gone.</summary>
    internal void CommitRelease(IReadOnlyList<StoredColumn> columns)
    {
        foreach (StoredColumn column in columns)
            _units[column.Unit].Release(column.Extent);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (StorageUnit unit in _units)
            unit.Dispose();
    }
}

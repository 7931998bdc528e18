using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

internal sealed partial class StorageManager
{
    /// <summary>What is on loan.</summary>
    public LoanBook Loans { get; } = new();

    /// <summary>Extents that were freed so far, in all units: who waits for room looks again when it has changed.</summary>
    public long FreedCount => _units.Sum(unit => unit.FreedCount);

    /// <summary>Lends a client room for frames, each an extent that owns its pages, if there is room now.</summary>
    /// <param name="client">Whom.</param>
    /// <param name="requestId">The request that it answers.</param>
    /// <param name="lengths">Bytes of the frames, each at least 64 KiB.</param>
    /// <returns>Null if there is no room now; then more memory is taken from the system where that helps.</returns>
    public Loan? TryLend(Guid client, ulong requestId, ReadOnlySpan<long> lengths)
    {
        var extents = new List<OwnedExtent>(lengths.Length);
        for (int i = 0; i < lengths.Length; i++)
        {
            int unit = IsOffloaded(lengths[i]) ? _memoryUnits : _next;
            if (!_units[unit].TryAllocate(lengths[i], out ExtentRef extent))
            {
                Free(extents);
                Grow(Missing(lengths, default));
                return null;
            }
            extents.Add(new OwnedExtent(unit, extent));
        }
        _next = (_next + 1) % _memoryUnits;
        return Loans.Lend(client, requestId, [.. extents]);
    }

    /// <summary>Takes the extents that a put's placed frames name out of their loans; a reservation or <see cref="EndTaken"/> comes next.</summary>
    /// <returns>Per frame its extent; null if none is placed.</returns>
    /// <exception cref="InvalidArgumentException">A place is no whole extent that this client has on loan; nothing has changed.</exception>
    public TakenExtent?[]? TakeLoaned(Guid client, ReadOnlySpan<ulong> places, ReadOnlySpan<long> lengths)
    {
        if (!places.ContainsAnyExcept(FramePlace.Inline))
            return null;
        if (Loans.TryTake(client, places, lengths, out TakenExtent?[]? taken, out int wrong))
            return taken;
        throw new InvalidArgumentException(
            $"put: frame {wrong} of {lengths[wrong]} bytes at 0x{places[wrong]:x} of the shared memory, which is no whole extent that this client has on "
            + "loan; reserve room for exactly the frames of the put, and use each place once");
    }

    /// <summary>A put that had taken loaned extents and has no reservation comes to an end: they are freed, or are on loan again.</summary>
    public void EndTaken(ReadOnlySpan<TakenExtent?> taken, bool wasCutOff)
    {
        if (wasCutOff)
        {
            Free(Loans.PutBack(taken));
            return;
        }
        Loans.Forget(taken);
        foreach (TakenExtent? extent in taken)
        {
            if (extent is { } it)
                _units[it.Extent.Unit].Release(it.Extent.Extent);
        }
    }

    /// <summary>Frees extents that nobody points to.</summary>
    public void Free(IEnumerable<OwnedExtent> extents)
    {
        foreach (var (unit, extent) in extents)
            _units[unit].Release(extent);
    }

    /// <summary>Checks that frames could fit if nothing else were stored.</summary>
    /// <param name="lengths">Bytes of the frames.</param>
    /// <param name="loaned">Per frame whether it has its room already; empty: none has.</param>
    /// <exception cref="StorageFullException">They never can.</exception>
    public void CheckFits(ReadOnlySpan<long> lengths, ReadOnlySpan<TakenExtent?> loaned = default)
    {
        (long memory, long files) = Missing(lengths, loaned);
        if (memory > CapacityBytes)
            throw new StorageFullException(
                $"storage: {memory} bytes asked at once, the capacity is {CapacityBytes} bytes; put fewer rows at once, or start with a larger capacity");
        if (files > 0 && files > Files!.CapacityBytes)
            throw new StorageFullException(
                $"offload: {files} bytes asked at once, the file system has {Files.CapacityBytes} bytes; put fewer rows at once, or name a folder of a larger one");
    }

    /// <summary>Whether a frame of so many bytes goes to files.</summary>
    public bool IsOffloaded(long bytes) => Files is not null && bytes >= Math.Max(_options.OffloadBytes, ExtentAllocator.PageExtentBytes);

    /// <summary>Whether one of the frames that have no room yet goes to files.</summary>
    public bool IsOffloaded(ReadOnlySpan<long> lengths, ReadOnlySpan<TakenExtent?> loaned = default) => Missing(lengths, loaned).Files > 0;

    /// <summary>Whether an extent of a unit lies in a file: the writer must not touch its bytes.</summary>
    public bool IsFile(int unit) => unit == _memoryUnits;

    /// <summary>Begins to take memory from the system for so many bytes more, where a unit's capacity allows it.</summary>
    public void Grow(long bytes)
    {
        foreach (StorageUnit unit in _memory)
            unit.TryGrow(bytes);
    }

    private void Grow((long Memory, long Files) missing)
    {
        if (missing.Memory > 0)
            Grow(missing.Memory);
        if (missing.Files > 0)
            Files!.TryGrow(missing.Files);
    }

    private StorageFullException Full(long bytes) => new(
        $"storage: {bytes} bytes asked, {CapacityBytes - UsedBytes} of {CapacityBytes} bytes are free, not all of them side by side; clear partitions that are done, or start "
        + "with a larger capacity");

    private static long Sum(ReadOnlySpan<long> lengths)
    {
        long sum = 0;
        foreach (long length in lengths)
            sum += length;
        return sum;
    }
}

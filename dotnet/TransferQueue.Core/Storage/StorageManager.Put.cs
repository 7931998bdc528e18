using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

internal sealed partial class StorageManager
{
    /// <summary>Makes room for the columns of a put; nothing of it is visible.</summary>
    /// <param name="rows">Rows, ≥ 0.</param>
    /// <param name="columns">The columns, each with one frame, in their order.</param>
    /// <param name="frameLengths">Bytes of the frames.</param>
    /// <exception cref="ProtocolException">A frame's length contradicts its layout.</exception>
    /// <exception cref="StorageFullException">There is no room; nothing has changed.</exception>
    public PutReservation Reserve(int rows, ImmutableArray<ColumnDescriptor> columns, ReadOnlySpan<long> frameLengths) =>
        TryReserve(rows, columns, frameLengths, null, out PutReservation? reservation) ? reservation : throw Full(Sum(frameLengths));

    /// <summary>Makes room for the columns of a put, if there is room now; else begins to take more memory from the system where that helps.</summary>
    /// <param name="rows">Rows, ≥ 0.</param>
    /// <param name="columns">The columns, each with one frame, in their order.</param>
    /// <param name="frameLengths">Bytes of the frames.</param>
    /// <param name="loaned">Per frame the extent of a loan that it lies in, null: it is in the message; null: all are.</param>
    /// <param name="reservation">The room; the loaned extents are part of it.</param>
    /// <returns>False if there is no room now; nothing has changed, the loaned extents stay the caller's.</returns>
    /// <exception cref="ProtocolException">A frame's length contradicts its layout; the loaned extents stay the caller's.</exception>
    public bool TryReserve(
        int rows, ImmutableArray<ColumnDescriptor> columns, ReadOnlySpan<long> frameLengths, TakenExtent?[]? loaned,
        [NotNullWhen(true)] out PutReservation? reservation)
    {
        if (columns.Length != frameLengths.Length)
            throw new ProtocolException($"put: {columns.Length} columns, but {frameLengths.Length} frames");
        for (int i = 0; i < columns.Length; i++)
        {
            ColumnFrame.CheckLayout(columns[i].Name, columns[i].Layout);
            ColumnFrame.CheckLength(columns[i], rows, frameLengths[i]);
        }
        var reserved = ImmutableArray.CreateBuilder<ReservedColumn>(columns.Length);
        List<OwnedExtent> taken = [];
        int first = _next;
        bool isFull = false;
        for (int i = 0; i < columns.Length && !isFull; i++)
        {
            ReservedColumn? column = loaned?[i] is { } extent
                ? LoanedColumn(columns[i], rows, frameLengths[i], extent)
                : ReserveColumn(columns[i], rows, frameLengths[i], first, taken);
            if (column is null)
                isFull = true;
            else
                reserved.Add(column);
        }
        reservation = null;
        if (isFull)
        {
            foreach (ReservedColumn column in reserved)
                column.Staging?.Dispose();
            Free(taken);
            Grow(Missing(frameLengths, loaned));
            return false;
        }
        _next = (first + 1) % _memoryUnits;
        reservation = new PutReservation(rows, reserved.MoveToImmutable());
        return true;
    }

    /// <summary>Gives the room of a put back that will not come, or is refused.</summary>
    /// <param name="reservation">The room.</param>
    /// <param name="wasCutOff">The connection ended before all was there, so that the put may come again: what was loaned is on loan again.</param>
    public void Abandon(PutReservation reservation, bool wasCutOff = false)
    {
        foreach (ReservedColumn column in reservation.Columns)
        {
            column.Staging?.Dispose();
            if (column.Loaned is { } loaned)
            {
                EndTaken([loaned], wasCutOff);
                continue;
            }
            foreach (var (unit, _, extent) in column.Slices)
                _units[unit].Release(extent);
        }
    }

    /// <summary>Gives the room of completed columns back whose put was refused: nobody ever pointed to them.</summary>
    public void Discard(ImmutableArray<ImmutableArray<StoredColumn>> columns) => CommitRelease([.. columns.SelectMany(column => column)]);

    /// <summary>The columns of a put whose frames are there and verified, in the order of the columns; the room now belongs to the caller's record.</summary>
    /// <remarks>Copies nothing, but for columns with offsets that are cut over several units.</remarks>
    /// <exception cref="StorageFullException">No room for the parts of a column that is cut: the reservation stays, abandon it.</exception>
    public ImmutableArray<ImmutableArray<StoredColumn>> Complete(PutReservation reservation)
    {
        if (!reservation.IsVerified)
            throw new InvalidOperationException("storage: completing a put that was not verified");
        List<StoredColumn> cut = [];
        var columns = ImmutableArray.CreateBuilder<ImmutableArray<StoredColumn>>(reservation.Columns.Length);
        try
        {
            foreach (ReservedColumn column in reservation.Columns)
                columns.Add(column.Slices.IsEmpty ? Cut(column, reservation.Rows, cut) : Placed(column));
        }
        catch (TransferQueueException)
        {
            CommitRelease(cut);
            throw;
        }
        foreach (ReservedColumn column in reservation.Columns)
        {
            column.Staging?.Dispose();
            Loans.Forget([column.Loaned]);
            Counters.Loaned(column.Loaned is null ? 0 : column.FrameBytes);
        }
        Counters.Placed(columns.Sum(column => (long)column.Length), reservation.FrameLengths.Sum());
        return columns.MoveToImmutable();
    }

    private ReservedColumn LoanedColumn(in ColumnDescriptor column, int rows, long bytes, in TakenExtent loaned)
    {
        var (unit, extent) = loaned.Extent;
        return new()
        {
            Descriptor = column,
            FrameBytes = bytes,
            Segments = [_units[unit].Segment(extent)],
            Slices = [(unit, rows, extent)],
            Loaned = loaned,
            IsInFile = IsFile(unit),
        };
    }

    /// <returns>Null if there is no room now.</returns>
    private ReservedColumn? ReserveColumn(in ColumnDescriptor column, int rows, long bytes, int first, List<OwnedExtent> taken)
    {
        if (IsOffloaded(bytes))
            return ReserveFile(column, rows, bytes, taken);
        int units = Math.Min(_memoryUnits, Math.Max(rows, 1));
        if (units > 1 && column.Layout.HasOffsets)
        {
            NativeBuffer staging = _scratch.Rent(bytes);
            return new() { Descriptor = column, FrameBytes = bytes, Segments = [staging.Segment], Slices = [], Staging = staging };
        }
        var slices = ImmutableArray.CreateBuilder<(int Unit, int Rows, ExtentRef Extent)>(units);
        for (int i = 0; i < units; i++)
        {
            int unit = (first + i) % _memoryUnits;
            int own = SliceRows(rows, units, i);
            if (!_units[unit].TryAllocate(units == 1 ? bytes : own * column.Layout.UnitBytes, out ExtentRef extent))
                return null;
            taken.Add(new OwnedExtent(unit, extent));
            slices.Add((unit, own, extent));
        }
        var segments = slices.Where(slice => slice.Extent.Length > 0).Select(slice => _units[slice.Unit].Segment(slice.Extent));
        return new() { Descriptor = column, FrameBytes = bytes, Segments = [.. segments], Slices = slices.MoveToImmutable() };
    }

    /// <summary>Room in a file, in one piece. What the loop or a mover receives at once waits in memory for the worker that verifies the put: neither may wait for a disk.</summary>
    /// <returns>Null if there is no room now.</returns>
    private ReservedColumn? ReserveFile(in ColumnDescriptor column, int rows, long bytes, List<OwnedExtent> taken)
    {
        StorageUnit unit = _units[_memoryUnits];
        if (!unit.TryAllocate(bytes, out ExtentRef extent))
            return null;
        taken.Add(new OwnedExtent(_memoryUnits, extent));
        NativeBuffer head = _scratch.Rent(Math.Min(bytes, ReservedColumn.MostHeadBytes));
        NativeSegment file = unit.Segment(extent);
        return new()
        {
            Descriptor = column,
            FrameBytes = bytes,
            Segments = bytes > head.Length ? [head.Segment, file.Skip(head.Length)] : [head.Segment],
            Slices = [(_memoryUnits, rows, extent)],
            Staging = head,
            File = file,
            IsInFile = true,
        };
    }

    /// <summary>Bytes that the frames take which are in the message: of memory, and of files.</summary>
    private (long Memory, long Files) Missing(ReadOnlySpan<long> lengths, ReadOnlySpan<TakenExtent?> loaned)
    {
        (long memory, long files) = (0, 0);
        for (int i = 0; i < lengths.Length; i++)
        {
            long bytes = loaned.IsEmpty || loaned[i] is null ? _units[0].RoundUp(lengths[i]) : 0;
            if (IsOffloaded(lengths[i]))
                files += bytes;
            else
                memory += bytes;
        }
        return (memory, files);
    }

    /// <summary>Rows of part <paramref name="part"/> when <paramref name="rows"/> rows are cut in <paramref name="parts"/>: the first ones are longer.</summary>
    private static int SliceRows(int rows, int parts, int part) => rows / parts + (part < rows % parts ? 1 : 0);

    private static ImmutableArray<StoredColumn> Placed(ReservedColumn column)
    {
        ColumnLayout layout = column.Descriptor.Layout;
        return [.. column.Slices.Select(slice => new StoredColumn(layout, slice.Rows, slice.Extent, slice.Unit, column.Sizes))];
    }

    /// <summary>Cuts a column with offsets by rows: each part gets its own offsets, from 0.</summary>
    private unsafe ImmutableArray<StoredColumn> Cut(ReservedColumn column, int rows, List<StoredColumn> cut)
    {
        ColumnLayout layout = column.Descriptor.Layout;
        int units = Math.Min(_memoryUnits, rows);
        int perRow = rows == 0 || column.Sizes is null ? 0 : column.Sizes.Length / rows;
        var parts = ImmutableArray.CreateBuilder<StoredColumn>(units);
        for (int i = 0, row = 0; i < units; i++)
        {
            int own = SliceRows(rows, units, i);
            OffsetRows source = new(column.Frame, layout, rows, row, own);
            int unit = (_next + i) % _memoryUnits;
            ExtentRef extent = _units[unit].Allocate(layout.ValuesStart(own) + source.ValueBytes);
            source.CopyTo(_units[unit].Segment(extent).Pointer);
            int[]? sizes = column.Sizes?.AsSpan(row * perRow, own * perRow).ToArray();
            StoredColumn part = new(layout, own, extent, unit, sizes);
            cut.Add(part);
            parts.Add(part);
            row += own;
        }
        return parts.MoveToImmutable();
    }
}

using System.Collections.Immutable;
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
    public PutReservation Reserve(int rows, ImmutableArray<ColumnDescriptor> columns, ReadOnlySpan<long> frameLengths)
    {
        if (columns.Length != frameLengths.Length)
            throw new ProtocolException($"put: {columns.Length} columns, but {frameLengths.Length} frames");
        for (int i = 0; i < columns.Length; i++)
        {
            ColumnFrame.CheckLayout(columns[i].Name, columns[i].Layout);
            ColumnFrame.CheckLength(columns[i], rows, frameLengths[i]);
        }
        var reserved = ImmutableArray.CreateBuilder<ReservedColumn>(columns.Length);
        int first = _next;
        try
        {
            for (int i = 0; i < columns.Length; i++)
                reserved.Add(ReserveColumn(columns[i], rows, frameLengths[i], first));
        }
        catch (TransferQueueException)
        {
            Abandon(new PutReservation(rows, reserved.ToImmutable()));
            throw;
        }
        _next = (first + 1) % _units.Length;
        return new PutReservation(rows, reserved.MoveToImmutable());
    }

    /// <summary>Gives the room of a put back that will not come.</summary>
    public void Abandon(PutReservation reservation)
    {
        foreach (ReservedColumn column in reservation.Columns)
        {
            column.Staging?.Dispose();
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
                columns.Add(column.Staging is null ? Placed(column) : Cut(column, reservation.Rows, cut));
        }
        catch (TransferQueueException)
        {
            CommitRelease(cut);
            throw;
        }
        foreach (ReservedColumn column in reservation.Columns)
            column.Staging?.Dispose();
        Counters.Placed(columns.Sum(column => (long)column.Length), reservation.FrameLengths.Sum());
        return columns.MoveToImmutable();
    }

    private ReservedColumn ReserveColumn(in ColumnDescriptor column, int rows, long bytes, int first)
    {
        int units = Math.Min(_units.Length, Math.Max(rows, 1));
        if (units > 1 && column.Layout.HasOffsets)
        {
            NativeBuffer staging = _scratch.Rent(bytes);
            return new() { Descriptor = column, FrameBytes = bytes, Segments = [staging.Segment], Slices = [], Staging = staging };
        }
        List<(int Unit, int Rows, ExtentRef Extent)> slices = [];
        try
        {
            for (int i = 0; i < units; i++)
            {
                int unit = (first + i) % _units.Length;
                int own = SliceRows(rows, units, i);
                long length = units == 1 ? bytes : own * column.Layout.UnitBytes;
                slices.Add((unit, own, _units[unit].Allocate(length)));
            }
        }
        catch (TransferQueueException)
        {
            foreach (var (unit, _, extent) in slices)
                _units[unit].Release(extent);
            throw;
        }
        var segments = slices.Where(slice => slice.Extent.Length > 0).Select(slice => _units[slice.Unit].Segment(slice.Extent));
        return new() { Descriptor = column, FrameBytes = bytes, Segments = [.. segments], Slices = [.. slices] };
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
        int units = Math.Min(_units.Length, rows);
        int perRow = rows == 0 || column.Sizes is null ? 0 : column.Sizes.Length / rows;
        var parts = ImmutableArray.CreateBuilder<StoredColumn>(units);
        for (int i = 0, row = 0; i < units; i++)
        {
            int own = SliceRows(rows, units, i);
            OffsetRows source = new(column.Frame, layout, rows, row, own);
            int unit = (_next + i) % _units.Length;
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

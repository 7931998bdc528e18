using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

internal sealed partial class StorageManager
{
    /// <summary>Who may read what in shared memory.</summary>
    public LeaseBook Leases { get; }

    /// <summary>
    /// Decides which columns of a reply go by shared memory: those of at least 64 KiB, as a look at the stored column where the rows are one stretch of one
    /// that owns its pages, else gathered in a new extent, if there is room for it now.
    /// </summary>
    public void Place(MeasuredReply reply)
    {
        for (int i = 0; i < reply.Columns.Length; i++)
        {
            if (reply.Columns[i].FrameBytes >= ExtentAllocator.PageExtentBytes)
                reply.Placements[i] = PlaceOf(reply.Columns[i]);
        }
    }

    /// <summary>The lease of a reply that has placed frames. The columns that it does not look at are free for others as soon as the frames were sent: see <see cref="Return"/>.</summary>
    /// <returns>The lease that goes to the client, and the one for what is only read until the frames were sent.</returns>
    public (ClientLease Client, ReadLease Sending) Split(MeasuredReply reply, Guid client, ulong requestId)
    {
        HashSet<StoredColumn> viewed = new(ReferenceEqualityComparer.Instance);
        for (int i = 0; i < reply.Columns.Length; i++)
        {
            if (reply.Placements[i].Way is ColumnWay.Viewed or ColumnWay.ValuesViewed)
                viewed.Add(reply.Columns[i].Pieces[0].Runs[0].Column);
        }
        ReadLease sending = reply.Lease;
        ReadLease kept = new(sending.Rows, [], [.. sending.Held.Where(viewed.Contains)]);
        sending.Held.RemoveAll(viewed.Contains);
        LeaseCount++;
        return (Leases.Begin(client, requestId, kept, reply.Results), sending);
    }

    /// <summary>Gives extents back that were taken for a reply which will not be sent.</summary>
    public void Unplace(MeasuredReply reply) => Free(reply.Results);

    /// <summary>Bytes that are kept only because a client's leases last: results, and columns that were cleared or replaced.</summary>
    public long BytesKeptFor(Guid client)
    {
        long bytes = 0;
        foreach (ClientLease lease in Leases.Of(client))
        {
            bytes += lease.Results.Sum(result => result.Extent.Length);
            foreach (StoredColumn column in lease.Viewed.Held)
                bytes += _units[column.Unit].IsOnlyRead(column.Extent) ? column.Extent.Length : 0;
        }
        return bytes;
    }

    private ColumnPlacement PlaceOf(MeasuredColumn column)
    {
        if (column.Pieces is [{ Runs.Length: 1 } piece] && piece.Runs[0] is var run && run.Column.Extent.Length >= ExtentAllocator.PageExtentBytes)
        {
            OwnedExtent extent = new(run.Column.Unit, run.Column.Extent);
            if (!piece.Layout.HasOffsets)
                return new ColumnPlacement(ColumnWay.Viewed, extent, piece.FirstValue);
            if (run.Count == run.Column.Rows && column.FrameBytes == run.Column.Extent.Length)
                return new ColumnPlacement(ColumnWay.Viewed, extent);
            if (piece.ValueBytes >= ExtentAllocator.PageExtentBytes)
                return new ColumnPlacement(ColumnWay.ValuesViewed, extent, piece.FirstValue);
        }
        int unit = column.Pieces[0].Runs[0].Column.Unit is var stored && IsFile(stored) ? 0 : stored;
        if (_units[unit].TryAllocate(column.FrameBytes, out ExtentRef target))
            return new ColumnPlacement(ColumnWay.Gathered, new OwnedExtent(unit, target));
        _units[unit].TryGrow(column.FrameBytes); // for the next one
        return default;
    }

    private void End(ClientLease lease)
    {
        Return(lease.Viewed);
        Free(lease.Results);
    }
}

using System.Collections.Immutable;
using System.Runtime.InteropServices;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Storage;

namespace TransferQueue.Records;

internal sealed partial class StateMachine
{
    /// <summary>Payloads of fewer bytes are received before the put is checked: that costs less than to check it twice.</summary>
    private const long EarlyCheckBytes = 64 << 10;

    /// <summary>
    /// Checks what a put's header tells, before its columns come: rows, keys, tags, element types, rows that there is room for. A
    /// small put is only checked when it is applied.
    /// </summary>
    /// <param name="request">The put.</param>
    /// <param name="payloadBytes">Bytes of its columns.</param>
    /// <exception cref="TransferQueueException">What <see cref="Put"/> would throw as things are now.</exception>
    public void CheckPut(PutRequest request, long payloadBytes)
    {
        if (payloadBytes >= EarlyCheckBytes)
            Validate(Record(request, [.. request.Columns.Select(column => Unplaced(column, request.Rows))]));
    }

    /// <summary>Applies a put whose columns were received and verified. The reservation is used up, also if this throws.</summary>
    /// <param name="request">The put.</param>
    /// <param name="reservation">Its columns; null if it has none.</param>
    /// <returns>Its rows, for <see cref="Controller.PutMeta"/>, <see cref="Controller.Tags"/> and <see cref="Controller.CommonFields"/>.</returns>
    /// <exception cref="TransferQueueException">The put is refused: nothing of it is visible and its room is free.</exception>
    public FoundRows[] Put(PutRequest request, PutReservation? reservation)
    {
        ImmutableArray<ImmutableArray<StoredColumn>> placed = reservation is null ? [] : Complete(reservation);
        try
        {
            return Apply(Record(request, placed));
        }
        catch (TransferQueueException)
        {
            Storage.Discard(placed);
            throw;
        }
    }

    private ImmutableArray<ImmutableArray<StoredColumn>> Complete(PutReservation reservation)
    {
        try
        {
            return Storage.Complete(reservation);
        }
        catch (TransferQueueException)
        {
            Storage.Abandon(reservation);
            throw;
        }
    }

    private static PutRecord Record(PutRequest request, ImmutableArray<ImmutableArray<StoredColumn>> placed)
    {
        RowsRef rows = request.Selection is { } selection ? RowsRef.ByIndexes(selection)
            : request.Keys.IsDefault ? RowsRef.New(request.Partition!, request.Rows)
            : RowsRef.ByKeys(request.Partition!, request.Keys);
        var columns = request.Columns.IsEmpty ? [] : new PutColumn[request.Columns.Length];
        for (int i = 0; i < columns.Length; i++)
            columns[i] = new PutColumn(request.Columns[i].Name, request.Columns[i].Layout, placed[i]);
        return new PutRecord(new PutSpec(rows, request.Tags, ImmutableCollectionsMarshal.AsImmutableArray(columns)));
    }

    private static ImmutableArray<StoredColumn> Unplaced(in ColumnDescriptor column, int rows) => [new StoredColumn(column.Layout, rows, default, 0, null)];
}

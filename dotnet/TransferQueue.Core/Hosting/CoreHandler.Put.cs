using System.Runtime.InteropServices;
using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Storage;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>Offsets and shapes of so many bytes in all are verified by a worker; below it the hop costs more than the work.</summary>
    private const long VerifyOnWorkerBytes = 256 << 10;

    /// <summary>A put on its way in.</summary>
    private sealed record IncomingPut(Call Call, PutRequest Request, PutReservation Reservation);

    /// <summary>A put that waits for room, with its payload.</summary>
    private sealed record WaitingPut(Call Call, ServerConnection Connection, PutRequest Request, long[] Lengths, TakenExtent?[]? Loaned);

    private ReceivePlan StartPut(Call call, PutRequest request, long[] lengths, ReadOnlySpan<ulong> places, long payload, long deadline)
    {
        if (request.Columns.IsEmpty)
        {
            _machine.CheckPut(request, payload);
            FinishPut(call, request, null);
            return ReceivePlan.None;
        }
        WaitingPut put = new(call, call.Connection, request, lengths, _storage.TakeLoaned(call.Client, places, lengths));
        bool isOffloaded;
        try
        {
            _machine.CheckPut(request, lengths.Sum());
            _storage.CheckFits(lengths, put.Loaned);
            isOffloaded = _storage.IsOffloaded(lengths, put.Loaned);
            if (_room.MayPass(payload, isOffloaded) && TryReserve(put) is { } plan)
                return plan;
        }
        catch
        {
            EndLoaned(put, wasCutOff: false);
            throw;
        }
        _room.Add(new RoomWaiter(payload, deadline, () => TryContinue(put), put, isOffloaded));
        return ReceivePlan.Wait;
    }

    /// <returns>Null if there is no room now.</returns>
    private ReceivePlan? TryReserve(WaitingPut put)
    {
        if (!_storage.TryReserve(put.Request.Rows, put.Request.Columns, put.Lengths, put.Loaned, out PutReservation? reservation))
            return null;
        var plan = new ReceivePlan { State = new IncomingPut(put.Call, put.Request, reservation) };
        foreach (var segment in reservation.Segments)
            plan.Add(segment);
        return plan;
    }

    private bool TryContinue(WaitingPut put)
    {
        if (TryReserve(put) is not { } plan)
            return false;
        Loop.Continue(put.Connection, plan);
        return true;
    }

    /// <inheritdoc/>
    public void PayloadReceived(ServerConnection connection, ReceivePlan plan)
    {
        var put = (IncomingPut)plan.State!;
        if (put.Reservation.TouchesFile || put.Reservation.VerifiedBytes >= VerifyOnWorkerBytes)
            Loop.RunOnWorker(put.Reservation.Verify, error => Commit(put, error));
        else
            Commit(put, Verified(put.Reservation));
    }

    /// <inheritdoc/>
    public void PayloadLost(ServerConnection connection, ReceivePlan plan)
    {
        var put = (IncomingPut)plan.State!;
        _storage.Abandon(put.Reservation, wasCutOff: true);
        CutOff(put.Call, connection);
    }

    /// <summary>A put ended with its connection before all was there; if it came again elsewhere meanwhile, it must come once more.</summary>
    private void CutOff(Call call, ServerConnection connection)
    {
        Drop(call);
        if (call.Connection != connection)
            Fail(call.Connection, call.RequestId, new ConnectionLostException("put: the connection ended in the middle of the columns; send it again"));
    }

    private static Exception? Verified(PutReservation reservation)
    {
        try
        {
            reservation.Verify();
            return null;
        }
        catch (TransferQueueException error)
        {
            return error;
        }
    }

    private void Commit(IncomingPut put, Exception? error)
    {
        if (_machine.IsFrozen)
        {
            _heldEnds.Enqueue(() => Commit(put, error));
            return;
        }
        if (error is not null)
        {
            _storage.Abandon(put.Reservation);
            Fail(put.Call, error);
            return;
        }
        try
        {
            FinishPut(put.Call, put.Request, put.Reservation);
        }
#pragma warning disable CA1031 // the caller's answer, and nobody else's
        catch (Exception refused)
#pragma warning restore CA1031
        {
            Fail(put.Call, refused);
        }
    }

    private void FinishPut(Call call, PutRequest request, PutReservation? reservation)
    {
        FoundRows[] rows = _machine.Put(request, reservation);
        _meter.Rows(MessageType.Put, request.Rows);
        Finish(call, request.Want switch
        {
            PutWant.Kv => PutReply.Kv(Controller.Tags(rows), ImmutableCollectionsMarshal.AsImmutableArray(Controller.CommonFields(rows))),
            PutWant.Meta => PutReply.Batch(BatchMetaCodec.Pack(_controller.PutMeta(rows))),
            _ => PutReply.None,
        });
        AnswerWoken();
    }
}

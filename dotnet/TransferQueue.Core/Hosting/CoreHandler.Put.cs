using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Storage;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>Frames of so many bytes in all are verified by a worker; below it the hop costs more than the work.</summary>
    private const long VerifyOnWorkerBytes = 256 << 10;

    /// <summary>A put on its way in.</summary>
    private sealed record IncomingPut(Call Call, PutRequest Request, PutReservation Reservation, long Bytes);

    private ReceivePlan StartPut(Call call, PutRequest request, long[] lengths)
    {
        _machine.CheckPut(request, lengths.Sum());
        if (request.Columns.IsEmpty)
        {
            FinishPut(call, request, null);
            return ReceivePlan.None;
        }
        PutReservation reservation = _storage.Reserve(request.Rows, request.Columns, lengths);
        var plan = new ReceivePlan { State = new IncomingPut(call, request, reservation, lengths.Sum()) };
        foreach (var segment in reservation.Segments)
            plan.Add(segment);
        return plan;
    }

    /// <inheritdoc/>
    public void PayloadReceived(ServerConnection connection, ReceivePlan plan)
    {
        var put = (IncomingPut)plan.State!;
        if (put.Bytes >= VerifyOnWorkerBytes)
            Loop.RunOnWorker(put.Reservation.Verify, error => Commit(put, error));
        else
            Commit(put, Verified(put.Reservation));
    }

    /// <inheritdoc/>
    public void PayloadLost(ServerConnection connection, ReceivePlan plan)
    {
        var put = (IncomingPut)plan.State!;
        _storage.Abandon(put.Reservation);
        Drop(put.Call);
        if (put.Call.Connection != connection)
            Fail(put.Call.Connection, put.Call.RequestId, new ConnectionLostException("put: the connection ended in the middle of the columns; send it again"));
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
        Finish(call, request.Want switch
        {
            PutWant.Kv => PutReply.Kv(Controller.Tags(rows), [.. Controller.CommonFields(rows)]),
            PutWant.Meta => PutReply.Batch(BatchMetaCodec.Pack(_controller.PutMeta(rows))),
            _ => PutReply.None,
        });
        AnswerWoken();
    }
}

using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Storage;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>Replies of more bytes are put together by a worker; below it the hop costs more than the work.</summary>
    private const long ReadOnWorkerBytes = 64 << 10;

    /// <summary>Replies of more stretches of rows are measured by a worker: two reads of memory for each.</summary>
    private const int MeasuredOnLoopRuns = 1024;

    /// <summary>A get that is worked on, and who has the lease of its answer.</summary>
    private sealed record Reading(ServerConnection Connection, Guid Holder, ulong RequestId, ReadLease Lease, bool IsShared);

    /// <summary>A reply with columns on its way out; what the client holds after it, if frames are placed.</summary>
    private sealed record OutgoingColumns(ReadLease Lease, ReplyFrames Frames, ClientLease? Held);

    private void Get(ServerConnection connection, ClientSession session, in Prelude prelude, GetRequest request)
    {
        ReadPlan plan = request.Selection is { } selection
            ? _controller.PlanReadRows(selection, request.Fields)
            : _controller.PlanReadKeys(request.Partition!, request.Keys, request.Fields);
        bool isShared = (prelude.Flags & PreludeFlags.Shared) != 0 && IsSharing(session.Holder) && !_storage.Leases.IsAbandoned(session.Holder, prelude.RequestId);
        Reading reading = new(connection, session.Holder, prelude.RequestId, _storage.Lease(plan.Rows, plan.Columns), isShared);
        MeasuredReply? reply = null;
        int runs = 0;
        foreach (var column in plan.Columns)
            runs += column.Runs.Length;
        if (runs <= MeasuredOnLoopRuns && !_storage.IsInFile(reading.Lease))
        {
            Exception? error = Tried(() => reply = _storage.Measure(reading.Lease));
            Place(reading, error, reply);
            return;
        }
        Loop.RunOnWorker(() => reply = _storage.Measure(reading.Lease), error => Place(reading, error, reply));
    }

    private static Exception? Tried(Action work)
    {
        try
        {
            work();
            return null;
        }
#pragma warning disable CA1031 // the caller's answer, and nobody else's
        catch (Exception error)
#pragma warning restore CA1031
        {
            return error;
        }
    }

    /// <summary>Decides how a measured reply goes out, and makes it.</summary>
    private void Place(Reading reading, Exception? error, MeasuredReply? reply)
    {
        if (reply is null)
        {
            _storage.Return(reading.Lease);
            Fail(reading.Connection, reading.RequestId, error!);
            return;
        }
        if (reading.IsShared && IsSharing(reading.Holder))
            _storage.Place(reply);
        ReplyFrames? frames = null;
        if (reply.MovedBytes is 0 || (reply.MovedBytes < ReadOnWorkerBytes && !_storage.IsInFile(reading.Lease)))
            SendColumns(reading, reply, Tried(() => frames = _storage.Build(reply)), frames);
        else
            Loop.RunOnWorker(() => frames = _storage.Build(reply), failure => SendColumns(reading, reply, failure, frames));
    }

    private void SendColumns(Reading reading, MeasuredReply reply, Exception? error, ReplyFrames? frames)
    {
        if (frames is null)
        {
            _storage.Unplace(reply);
            _storage.Return(reading.Lease);
            Fail(reading.Connection, reading.RequestId, error!);
            return;
        }
        _counters.Sent(frames.Frames.Length);
        for (int i = 0; i < reply.Columns.Length; i++)
            _storage.Counters.Went(reply.Placements[i].Way, reply.Columns[i].FrameBytes);
        OutgoingMessage message = Loop.RentMessage();
        var columns = frames.Columns.Select(column => new ReplyColumn(column.Name, column.DType, column.Pieces, column.Frames));
        new GetReply(reading.Lease.Rows, [.. columns]).WriteHeader(message.Header);
        AddFrames(message, frames);
        ClientLease? held = reply.HasPlaced ? _storage.Split(reply, reading.Holder, reading.RequestId).Client : null;
        message.State = new OutgoingColumns(reading.Lease, frames, held);
        message.Completed = ColumnsSent;
        _meter.Rows(MessageType.Get, reading.Lease.Rows);
        _meter.Answer(reading.Connection, reading.RequestId, isError: false);
        message.Seal(Prelude.Create((ushort)MessageType.Ok, reading.RequestId) with { Acknowledged = held?.Id ?? 0 });
        reading.Connection.Send(message);
        if (held is not null && (!IsSharing(reading.Holder) || _storage.Leases.IsAbandoned(reading.Holder, reading.RequestId)))
            _storage.Leases.GiveBack(held); // nobody will read it
    }

    private void ColumnsSent(OutgoingMessage message, bool sent)
    {
        var columns = (OutgoingColumns)message.State!;
        columns.Frames.Dispose();
        _storage.Return(columns.Lease);
        if (!sent && columns.Held is { } held)
            _storage.Leases.GiveBack(held);
    }

    /// <summary>Cuts the chain of stretches into frames; a stretch may go on in the next frame.</summary>
    private static void AddFrames(OutgoingMessage message, ReplyFrames frames)
    {
        int next = 0;
        long used = 0;
        foreach (ReplyFrame frame in frames.Frames)
        {
            if (frame.IsPlaced)
            {
                message.AddPlacedFrame(frame.Place, frame.Length);
                continue;
            }
            message.BeginFrame();
            for (long left = frame.Length; left > 0;)
            {
                var rest = frames.Segments[next].Skip(used);
                long taken = Math.Min(left, rest.Length);
                message.AddSegment(rest.Take(taken));
                left -= taken;
                used = taken == rest.Length ? 0 : used + taken;
                next += taken == rest.Length ? 1 : 0;
            }
        }
    }
}

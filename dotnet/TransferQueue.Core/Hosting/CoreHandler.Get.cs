using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Storage;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>Replies of more bytes are put together by a worker; below it the hop costs more than the work.</summary>
    private const long ReadOnWorkerBytes = 64 << 10;

    /// <summary>A reply with columns on its way out.</summary>
    private sealed record OutgoingColumns(ReadLease Lease, ReplyFrames Frames);

    private void Get(ServerConnection connection, ulong requestId, GetRequest request)
    {
        ReadPlan plan = request.Selection is { } selection
            ? _controller.PlanReadRows(selection, request.Fields)
            : _controller.PlanReadKeys(request.Partition!, request.Keys, request.Fields);
        ReadLease lease = _storage.Lease(plan.Rows, plan.Columns);
        ReplyFrames? frames = null;
        if (StoredBytes(plan) < ReadOnWorkerBytes)
        {
            SendColumns(connection, requestId, lease, Read(lease, out frames), frames);
            return;
        }
        Loop.RunOnWorker(() => frames = _storage.Read(lease), error => SendColumns(connection, requestId, lease, error, frames));
    }

    private Exception? Read(ReadLease lease, out ReplyFrames? frames)
    {
        frames = null;
        try
        {
            frames = _storage.Read(lease);
            return null;
        }
#pragma warning disable CA1031 // the caller's answer, and nobody else's
        catch (Exception error)
#pragma warning restore CA1031
        {
            return error;
        }
    }

    private void SendColumns(ServerConnection connection, ulong requestId, ReadLease lease, Exception? error, ReplyFrames? frames)
    {
        if (frames is null)
        {
            _storage.Return(lease);
            Fail(connection, requestId, error!);
            return;
        }
        _counters.Sent(frames.Columns.Length);
        OutgoingMessage message = Loop.RentMessage();
        var columns = frames.Columns.Select(column => new ReplyColumn(column.Name, column.DType, column.Pieces));
        System.Buffers.BuffersExtensions.Write(message.Header, new GetReply(lease.Rows, [.. columns]).ToHeader().Span);
        AddFrames(message, frames);
        message.State = new OutgoingColumns(lease, frames);
        message.Completed = ColumnsSent;
        message.Seal(Prelude.Create((ushort)MessageType.Ok, requestId));
        connection.Send(message);
    }

    private void ColumnsSent(OutgoingMessage message, bool sent)
    {
        var columns = (OutgoingColumns)message.State!;
        columns.Frames.Dispose();
        _storage.Return(columns.Lease);
    }

    /// <summary>Cuts the chain of stretches into frames; a stretch may go on in the next frame.</summary>
    private static void AddFrames(OutgoingMessage message, ReplyFrames frames)
    {
        int next = 0;
        long used = 0;
        foreach (long length in frames.FrameLengths)
        {
            message.BeginFrame();
            for (long left = length; left > 0;)
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

    /// <summary>Bytes of the stored columns that a read touches: an upper bound of what it sends, but for repeated rows.</summary>
    private static long StoredBytes(ReadPlan plan)
    {
        long bytes = 0;
        foreach (var column in plan.Columns)
        {
            foreach (var run in column.Runs)
                bytes += run.Column.Rows == 0 ? 0 : run.Column.Extent.Length / run.Column.Rows * run.Count;
        }
        return bytes;
    }
}

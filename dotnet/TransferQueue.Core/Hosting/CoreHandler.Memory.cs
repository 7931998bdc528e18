using System.Collections.Immutable;
using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Storage;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>Pipes of pins that are open at most: each needs an fd.</summary>
    private const int MostPins = 4096;

    private int _pins;

    /// <summary>Lends room for a put's large frames, or lets the request wait for it.</summary>
    private void Reserve(Call call, ReserveRequest request, long deadline)
    {
        CheckSharing(call.Client);
        _storage.CheckFits(request.Bytes.AsSpan());
        long bytes = request.Bytes.Sum();
        bool isOffloaded = _storage.IsOffloaded(request.Bytes.AsSpan());
        if (_room.MayPass(bytes, isOffloaded) && TryReserve(call, request))
            return;
        _room.Add(new RoomWaiter(bytes, deadline, () => TryReserve(call, request), call, isOffloaded));
    }

    private bool TryReserve(Call call, ReserveRequest request)
    {
        if (_storage.TryLend(call.Client, call.RequestId, request.Bytes.AsSpan()) is not { } loan)
            return false;
        if (!IsSharing(call.Client))
            _storage.Free(_storage.Loans.End(call.Client, loan.Id)); // its process ended while it waited
        Finish(call, new ReserveReply(loan.Id, [.. loan.Extents.Select(extent => Columns.FramePlace.Of(extent.Extent.Segment, extent.Extent.Offset))]));
        return true;
    }

    private OkReply Release(Guid holder, ReleaseRequest request)
    {
        foreach (ulong lease in request.Leases.IsDefault ? [] : request.Leases)
            _storage.Leases.GiveBack(holder, lease);
        foreach (ulong loan in request.Loans.IsDefault ? [] : request.Loans)
            _storage.Free(_storage.Loans.End(holder, unchecked((long)loan)));
        foreach (ulong reply in request.Replies.IsDefault ? [] : request.Replies)
        {
            DropReservation(holder, reply);
            _storage.Free(_storage.Loans.EndReply(holder, reply));
            _storage.Leases.AbandonReply(holder, reply);
        }
        return new OkReply();
    }

    /// <summary>A reservation whose answer nobody reads waits no more.</summary>
    private void DropReservation(Guid client, ulong requestId)
    {
        if (_room.Waiters.FirstOrDefault(waiter => waiter.Owner is Call call && call.Client == client && call.RequestId == requestId) is not { } waiter)
            return;
        _room.Remove(waiter);
        Fail((Call)waiter.Owner, new DeadlineExceededException("reserve: given up by its caller while it waited for room"));
    }

    /// <summary>Sends the segments and their files.</summary>
    private void SendMemory(ServerConnection connection, ulong requestId, Guid client, MemoryRequest request)
    {
        CheckSharing(client);
        ArenaSegment[] wanted = [.. _segments.Segments.Skip(request.Known).Take(FdPassing.MostFds)];
        OutgoingMessage message = Loop.RentMessage();
        new MemoryReply([.. wanted.Select(segment => new SharedSegment(segment.Number, segment.Length))]).WriteHeader(message.Header);
        foreach (ArenaSegment segment in wanted)
            message.Fds.Add(segment.Fd);
        message.Seal(Prelude.Create((ushort)MessageType.Ok, requestId));
        connection.Send(message);
    }

    /// <summary>Holds leases until the pipe whose end goes out is closed by all that have it.</summary>
    private void Pin(ServerConnection connection, ulong requestId, Guid client, PinRequest request)
    {
        CheckSharing(client);
        if (_pins >= MostPins)
            throw new LimitExceededException($"pin: {_pins} pins are held, that is the limit; end child processes that are done");
        EndPipe pipe = EndPipe.Create();
        ImmutableArray<ClientLease> pinned = _storage.Leases.Pin(client, request.Leases.AsSpan());
        _pins++;
        pipe.Watch(Loop, () =>
        {
            _pins--;
            _storage.Leases.Unpin(pinned);
        });
        OutgoingMessage message = Loop.RentMessage();
        new OkReply().WriteHeader(message.Header);
        message.Fds.Add(pipe.WriteFd);
        message.Completed = (_, _) => pipe.CloseWriteEnd();
        message.Seal(Prelude.Create((ushort)MessageType.Ok, requestId));
        connection.Send(message);
    }

    /// <summary>Room and files are for a client on this host: a gateway only reads.</summary>
    private void CheckSharing(Guid client)
    {
        if (!IsSharing(client))
            throw new InvalidArgumentException("core: shared memory is not offered to this client; send the frames in the message");
    }
}

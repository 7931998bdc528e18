using TransferQueue.Storage;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>The first tier, taken from the system after the first greeting was answered: at most so much, and a quarter of the capacity.</summary>
    private const long FirstTierBytes = 256L << 20;

    /// <summary>Reservations and puts that found no room.</summary>
    private readonly RoomQueue _room = new();

    /// <summary>What <see cref="StorageManager.FreedCount"/> was when they were tried last.</summary>
    private long _seenFreed;
    private bool _hasGrown;
    private bool _isWarm;

    /// <summary>There is more memory than before.</summary>
    public void MemoryGrown() => _hasGrown = true;

    private void TakeFirstTier()
    {
        if (_isWarm)
            return;
        _isWarm = true;
        _storage.Grow(Math.Min(FirstTierBytes, _storage.CapacityBytes / 4));
    }

    /// <summary>Tries those that wait if something was freed, and gives up those whose deadline has come.</summary>
    /// <returns>The next deadline.</returns>
    private long ServeRoom(long now)
    {
        if (_room.Count == 0)
            return long.MaxValue;
        if (_hasGrown || _storage.FreedCount != _seenFreed)
        {
            _hasGrown = false;
            _room.Serve();
            _seenFreed = _storage.FreedCount; // what a vain try took and gave back is no news
        }
        foreach (RoomWaiter waiter in _room.TakeExpired(now))
            GiveUp(waiter, NoRoom(waiter));
        return _room.NextDeadline;
    }

    private void GiveUp(RoomWaiter waiter, TransferQueueException error)
    {
        if (waiter.Owner is WaitingPut put)
        {
            EndLoaned(put, wasCutOff: false);
            Fail(put.Call, error);
            Loop.Continue(put.Connection, ReceivePlan.Skip);
        }
        else
            Fail((Call)waiter.Owner, error);
    }

    /// <summary>Whoever has gone waits no more.</summary>
    private void DropRoomWaiters(ServerConnection connection)
    {
        if (_room.Count == 0)
            return;
        foreach (RoomWaiter waiter in _room.Waiters.ToArray())
        {
            if (waiter.Owner is WaitingPut put && put.Connection == connection)
            {
                _room.Remove(waiter);
                EndLoaned(put, wasCutOff: true);
                CutOff(put.Call, connection);
            }
            else if (waiter.Owner is Call call && call.Connection == connection)
            {
                _room.Remove(waiter);
                Drop(call);
            }
        }
    }

    private void EndLoaned(WaitingPut put, bool wasCutOff)
    {
        if (put.Loaned is not null)
            _storage.EndTaken(put.Loaned, wasCutOff);
    }

    private StorageFullException NoRoom(RoomWaiter waiter)
    {
        StorageUnit unit = waiter.IsOffloaded ? _storage.Files! : _storage.Units[0];
        string failure = unit.GrowthFailure is { } why ? $" ({why.Message})" : "";
        string room = $"the longest free stretch has {unit.LongestFreeBytes}, {unit.CapacityBytes - unit.CommittedBytes} are not taken from the system yet{failure}";
        return new StorageFullException(
            $"storage: {waiter.Bytes} bytes asked{(waiter.IsOffloaded ? ", in files" : "")}, no room for them came free in time; {Holders()}; {room}; "
            + "clear partitions that are done, let go of fetched tensors, or start with a larger capacity");
    }
}

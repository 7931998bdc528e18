using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Records;
using TransferQueue.Storage;
using TransferQueue.Tests.Records;
using Xunit;

namespace TransferQueue.Tests.Storage;

public sealed class LifetimeTests : IDisposable
{
    private readonly Random _random = new(29);
    private readonly TestQueue _queue = new(capacityBytes: 8 << 20);

    public void Dispose() => _queue.Dispose();

    [Fact]
    public void AReaderKeepsTheBytesThatItLeasedWhateverIsPutOrCleared()
    {
        TestColumn old = Column(64);
        string[] keys = TestQueue.Keys("k", 64);
        _queue.PutKeys("p", keys, old);
        ReadLease lease = Lease(keys);
        _queue.PutKeys("p", keys, Column(64));
        _queue.State.Apply(new ClearPartitionRecord("p"));
        for (int i = 0; i < 20; i++)
            _queue.PutKeys("q", TestQueue.Keys($"{i}_", 64), Column(64));
        using ReplyFrames frames = _queue.Storage.Read(lease);
        Assert.Equal(old.Cells.Select(cell => cell.ToString()), TestQueue.Decode(frames)["x"].Select(cell => cell.ToString()));
        _queue.Storage.Return(lease);
    }

    [Fact]
    public void WhatWasClearedIsFreeWithItsLastReaderNotBefore()
    {
        string[] keys = TestQueue.Keys("k", 64);
        _queue.PutKeys("p", keys, Column(64));
        long used = _queue.Storage.UsedBytes;
        ReadLease first = Lease(keys), second = Lease(keys[..1]);
        _queue.State.Apply(new ClearKeysRecord("p", [.. keys]));
        Assert.Equal(used, _queue.Storage.UsedBytes);
        _queue.Storage.Return(first);
        Assert.Equal(used, _queue.Storage.UsedBytes);
        _queue.Storage.Return(second);
        Assert.Equal(0, _queue.Storage.UsedBytes);
        Assert.Throws<InvalidOperationException>(() => _queue.Storage.Return(second));
    }

    [Fact]
    public void AnExtentStaysUntilItsLastRowIsGone()
    {
        string[] keys = TestQueue.Keys("k", 64);
        _queue.PutKeys("p", keys, Column(64));
        long used = _queue.Storage.UsedBytes;
        _queue.State.Apply(new ClearKeysRecord("p", [.. keys[..63]]));
        Assert.Equal(used, _queue.Storage.UsedBytes);
        _queue.State.Apply(new ClearKeysRecord("p", [keys[63]]));
        Assert.Equal(0, _queue.Storage.UsedBytes);
    }

    [Fact]
    public void OverwritingAllCellsFreesTheOldColumn()
    {
        string[] keys = TestQueue.Keys("k", 64);
        _queue.PutKeys("p", keys, Column(64));
        long used = _queue.Storage.UsedBytes;
        for (int i = 0; i < 5; i++)
            _queue.PutKeys("p", keys, Column(64));
        Assert.Equal(used, _queue.Storage.UsedBytes);
    }

    [Fact]
    public void AnAbandonedPutLeavesNothing()
    {
        PutRequest request = TestQueue.ByKeys("p", ["a"]) with { Columns = [new("x", Column(1).Layout)] };
        PutReservation reservation = _queue.Receive(request, [Column(1)]);
        Assert.True(_queue.Storage.UsedBytes > 0);
        _queue.Storage.Abandon(reservation);
        Assert.Equal(0, _queue.Storage.UsedBytes);
        Assert.Empty(_queue.Controller.Partitions);
    }

    [Fact]
    public void APutThatWasNotVerifiedIsNotTaken()
    {
        PutRequest request = TestQueue.ByKeys("p", ["a"]) with { Columns = [new("x", Column(1).Layout)] };
        PutReservation reservation = _queue.Storage.Reserve(1, request.Columns, [Column(1).Frame().Length]);
        Assert.Throws<InvalidOperationException>(() => _queue.Storage.Complete(reservation));
        _queue.Storage.Abandon(reservation);
    }

    [Fact]
    public void AColumnOfNoRowsTakesNoRoomForEver()
    {
        _queue.Put(TestQueue.New("p", 0), Column(0), TestColumn.Text("t"));
        Assert.Equal(0, _queue.Storage.UsedBytes);
    }

    [Fact]
    public void RoomThatWasFreedServesLaterPuts()
    {
        for (int i = 0; i < 100; i++)
        {
            _queue.PutKeys("p", TestQueue.Keys("k", 1000), TestColumn.Dense(_random, "x", DType.Float32, 1000, 500));
            _queue.State.Apply(new ClearPartitionRecord("p"));
        }
        Assert.Equal(0, _queue.Storage.UsedBytes);
    }

    [Fact]
    public void APutThatFitsInNoUnitLeavesTheOthersAsTheyWere()
    {
        using TestQueue queue = new(units: 3, capacityBytes: 1 << 20);
        queue.Put(TestQueue.New("p", 1), TestColumn.Dense(_random, "x", DType.UInt8, 1, 900_000));
        long used = queue.Storage.UsedBytes;
        Assert.Throws<StorageFullException>(() => queue.Put(TestQueue.New("p", 3), TestColumn.Dense(_random, "x", DType.UInt8, 3, 400_000)));
        Assert.Equal(used, queue.Storage.UsedBytes);
        // A jagged column is cut when its offsets are known: it may turn out too large only then.
        Assert.Throws<StorageFullException>(() => queue.Put(TestQueue.New("p", 3), TestColumn.Jagged(_random, "x", DType.UInt8, [9, 9, 1_200_000], -1)));
        Assert.Equal(used, queue.Storage.UsedBytes);
    }

    private ReadLease Lease(string[] keys)
    {
        ReadPlan plan = _queue.Controller.PlanReadKeys("p", [.. keys], default);
        return _queue.Storage.Lease(plan.Rows, plan.Columns);
    }

    private TestColumn Column(int rows) => TestColumn.Dense(_random, "x", DType.Float32, rows, 64);
}

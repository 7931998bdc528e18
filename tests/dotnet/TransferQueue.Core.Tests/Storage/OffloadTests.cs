using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Storage;
using Xunit;

namespace TransferQueue.Tests.Storage;

public sealed unsafe class OffloadTests : IDisposable
{
    private const long MiB = 1 << 20;
    private const long Threshold = 256 << 10;
    private static readonly Guid Client = Guid.NewGuid();

    private readonly string _folder = Directory.CreateTempSubdirectory("tq-offload").FullName;
    private readonly NativeBufferPool _scratch = new();
    private readonly StorageManager _storage;

    public OffloadTests()
    {
        var segments = new SegmentTable();
        var files = new Arena(
            new OffloadFolder(_folder).ArenaOptions() with { CapacityBytes = 8 * MiB, SegmentBytes = 8 * MiB, GrowthBytes = MiB }, segments);
        files.Prepare();
        StorageUnit[] memory = [.. Enumerable.Range(0, 2).Select(_ =>
            new StorageUnit(new ExtentAllocator(new Arena(new ArenaOptions { CapacityBytes = 2 * MiB, GrowthBytes = MiB }, segments))))];
        _storage = new StorageManager([.. memory], _scratch, new StorageOptions { OffloadBytes = Threshold }, new StorageUnit(new ExtentAllocator(files)));
    }

    public void Dispose()
    {
        _storage.Dispose();
        _scratch.Dispose();
        Directory.Delete(_folder);
    }

    private static ColumnDescriptor Bytes(long perRow) => new("x", new ColumnLayout(ColumnKind.Dense, DType.UInt8, [(int)perRow]));

    private ImmutableArray<StoredColumn> Put(int rows, long perRow, byte first)
    {
        PutReservation room = _storage.Reserve(rows, [Bytes(perRow)], [rows * perRow]);
        Fill(room, first);
        return Finish(room);
    }

    private static void Fill(PutReservation room, byte first)
    {
        foreach (NativeSegment segment in room.Segments)
            for (long i = 0; i < segment.Length; i++)
                segment.Pointer[i] = first++;
    }

    private ImmutableArray<StoredColumn> Finish(PutReservation room)
    {
        room.Verify();
        return _storage.Complete(room)[0];
    }

    [Theory]
    [InlineData(Threshold - 1, false)]
    [InlineData(Threshold, true)]
    [InlineData(Threshold + 1, true)]
    public void AFrameOfTheThresholdOrMoreLiesInOnePieceInTheFile(long bytes, bool isInFile)
    {
        ImmutableArray<StoredColumn> columns = Put(1, bytes, 5);
        Assert.Equal(isInFile, columns.Length == 1 && _storage.IsFile(columns[0].Unit));
        Assert.Equal(isInFile, _storage.UsedBytes == 0);
        Assert.Equal(isInFile ? (bytes + 4095) / 4096 * 4096 : 0, _storage.Files!.UsedBytes);
        _storage.CommitRelease(columns);
        Assert.Equal(0, _storage.UsedBytes + _storage.Files.UsedBytes);
    }

    [Fact]
    public void WhatIsReceivedFirstWaitsInMemoryUntilAWorkerWritesIt()
    {
        PutReservation room = _storage.Reserve(1, [Bytes(3 * MiB)], [3 * MiB]);
        Assert.True(room.TouchesFile);
        Assert.Equal(2, room.Segments.Length);
        Assert.Equal((ReservedColumn.MostHeadBytes, 3 * MiB - ReservedColumn.MostHeadBytes), (room.Segments[0].Length, room.Segments[1].Length));
        Fill(room, 1);
        StoredColumn column = Finish(room)[0];
        var file = new ReadOnlySpan<byte>(_storage.Segment(column).Pointer, (int)(3 * MiB));
        for (int i = 0; i < file.Length; i++)
            Assert.True(file[i] == (byte)(i + 1), $"byte {i}");
        _storage.CommitRelease([column]);
    }

    [Fact]
    public void AnAbandonedPutGivesItsRoomInTheFileBack()
    {
        _storage.Abandon(_storage.Reserve(1, [Bytes(MiB)], [MiB]));
        Assert.Equal(0, _storage.Files!.UsedBytes);
    }

    [Fact]
    public void ALoanOfALargeFrameIsRoomInTheFile()
    {
        Loan loan = _storage.TryLend(Client, 1, [MiB, 100_000])!;
        Assert.Equal([true, false], loan.Extents.Select(extent => _storage.IsFile(extent.Unit)));
        _storage.Free(_storage.Loans.End(Client, loan.Id));
        Assert.Equal(0, _storage.UsedBytes + _storage.Files!.UsedBytes);
    }

    [Fact]
    public void RoomThatWasClearedIsUsedAgainBeforeTheFileGrows()
    {
        for (byte round = 0; round < 20; round++)
            _storage.CommitRelease(Put(1, 3 * MiB, round));
        Assert.Equal(3 * MiB, _storage.Files!.CommittedBytes);
    }

    [Fact]
    public void FramesThatNeverFitAreRefusedByTheirKind()
    {
        Assert.Contains("the capacity is", Assert.Throws<StorageFullException>(() => _storage.CheckFits(Enumerable.Repeat(Threshold - 1, 30).ToArray())).Message);
        Assert.Contains("the file system has", Assert.Throws<StorageFullException>(() => _storage.CheckFits([9 * MiB])).Message);
        _storage.CheckFits([7 * MiB, MiB / 8]);
    }

    [Fact]
    public void AFullDiskLetsNobodyWaitWhoWantsMemoryAlone()
    {
        var queue = new RoomQueue();
        List<string> served = [];
        bool Serve(string name, bool hasRoom)
        {
            if (hasRoom)
                served.Add(name);
            return hasRoom;
        }
        queue.Add(new RoomWaiter(5 * MiB, 100, () => Serve("disk", false), "a", isOffloaded: true));
        Assert.True(queue.MayPass(5 * MiB));
        Assert.False(queue.MayPass(5 * MiB, isOffloaded: true));
        queue.Add(new RoomWaiter(5 * MiB, 100, () => Serve("disk behind", true), "b", isOffloaded: true));
        queue.Add(new RoomWaiter(5 * MiB, 100, () => Serve("memory", true), "c"));
        queue.Serve();
        Assert.Equal(["memory"], served);
        Assert.Equal(2, queue.Count);
    }
}

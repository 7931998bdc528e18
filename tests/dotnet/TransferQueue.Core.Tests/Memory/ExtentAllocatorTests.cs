using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;
using TransferQueue.Memory;
using Xunit;

namespace TransferQueue.Tests.Memory;

public sealed unsafe class ExtentAllocatorTests
{
    private const long MiB = 1 << 20;

    private static ExtentAllocator Create(long capacity, long segment = 1L << 40, long growth = 4 * MiB) =>
        new(new Arena(new ArenaOptions { CapacityBytes = capacity, SegmentBytes = segment, GrowthBytes = growth }));

    [Fact]
    public void RandomLivesNeverOverlapAndReturnAllSpace()
    {
        var lives = Gen.ArrayOf(Gen.Choose(0, int.MaxValue));
        Prop.ForAll(lives.Resize(400).ToArbitrary(), RunLife).QuickCheckThrowOnFailure();
    }

    private static void RunLife(int[] choices)
    {
        using ExtentAllocator allocator = Create(512 * MiB);
        List<ExtentRef> live = [];
        foreach (int choice in choices)
        {
            if (choice % 5 < 3 || live.Count == 0)
                live.Add(allocator.Allocate(SizeFrom(choice)));
            else
                FreeAt(allocator, live, choice % live.Count);
            AssertSound(allocator, live);
        }
        while (live.Count > 0)
            FreeAt(allocator, live, live.Count - 1);
        Assert.Equal(0, allocator.UsedBytes);
        Assert.Equal(0, allocator.ExtentCount);
        long committed = allocator.CommittedBytes;
        if (committed > 0)
            _ = allocator.Allocate((committed - 2 * MiB) / 2); // all pieces became one again, or two around the room that small extents keep
        Assert.Equal(committed, allocator.CommittedBytes);
    }

    /// <summary>From 0 bytes to 2 MiB, small ones more often.</summary>
    private static long SizeFrom(int choice)
    {
        var random = new Random(choice);
        return random.NextInt64(1L << random.Next(1, 22));
    }

    private static void FreeAt(ExtentAllocator allocator, List<ExtentRef> live, int index)
    {
        allocator.Free(live[index]);
        live.RemoveAt(index);
    }

    private static void AssertSound(ExtentAllocator allocator, List<ExtentRef> live)
    {
        Assert.Equal(live.Count, allocator.ExtentCount);
        long end = -1;
        int segment = -1;
        foreach (ExtentRef extent in live.OrderBy(e => e.Segment).ThenBy(e => e.Offset))
        {
            bool ownsPages = extent.Length >= ExtentAllocator.PageExtentBytes;
            Assert.Equal(0, extent.Offset % (ownsPages ? Arena.PageBytes : ExtentAllocator.AlignmentBytes));
            end = extent.Segment == segment ? end : 0;
            Assert.True(extent.Offset >= end, "two extents overlap");
            segment = extent.Segment;
            end = extent.Offset + Arena.RoundUp(Math.Max(1, extent.Length), ownsPages ? Arena.PageBytes : ExtentAllocator.AlignmentBytes);
            Assert.True(end <= allocator.Arena.Segments[segment].CommittedBytes);
        }
    }

    [Fact]
    public void PagesOfALargeExtentBelongToItAlone()
    {
        using ExtentAllocator allocator = Create(64 * MiB);
        var extents = Enumerable.Range(0, 40).Select(i => allocator.Allocate(i % 2 == 0 ? 100 : ExtentAllocator.PageExtentBytes + 1)).ToList();
        var pages = extents.Select(e => (First: e.Offset / Arena.PageBytes, Last: (e.Offset + e.Length - 1) / Arena.PageBytes, IsLarge: e.Length > 100)).ToList();
        foreach (var large in pages.Where(p => p.IsLarge))
            Assert.DoesNotContain(pages, p => p != large && p.First <= large.Last && p.Last >= large.First);
    }

    [Fact]
    public void RoomThatCameBackLastIsGivenOutFirst()
    {
        using ExtentAllocator allocator = Create(256 * MiB);
        ExtentRef[] extents = [.. Enumerable.Range(0, 9).Select(_ => allocator.Allocate(MiB))];
        allocator.Free(extents[1]);
        allocator.Free(extents[7]);
        allocator.Free(extents[4]);
        Assert.Equal([4, 7, 1], Enumerable.Range(0, 3).Select(_ => (int)(allocator.Allocate(MiB).Offset / MiB)));
    }

    [Fact]
    public void ReusedRoomHasAnotherEpochAndTheOldRefIsRefused()
    {
        using ExtentAllocator allocator = Create(MiB);
        ExtentRef first = allocator.Allocate(1000);
        allocator.Free(first);
        ExtentRef second = allocator.Allocate(1000);
        Assert.Equal(first.Offset, second.Offset);
        Assert.NotEqual(first.Epoch, second.Epoch);
        Assert.False(allocator.Contains(first));
        Assert.True(allocator.Contains(second));
        Assert.Throws<TransferQueueException>(() => allocator.Free(first));
        Assert.Equal(1, allocator.ExtentCount);
    }

    [Fact]
    public void ASliceOrASecondFreeIsRefused()
    {
        using ExtentAllocator allocator = Create(4 * MiB);
        ExtentRef extent = allocator.Allocate(MiB);
        Assert.Throws<TransferQueueException>(() => allocator.Free(extent.Slice(0, MiB / 2)));
        allocator.Free(extent);
        Assert.Throws<TransferQueueException>(() => allocator.Free(extent));
    }

    [Fact]
    public void FullStorageNamesSizesAndChangesNothing()
    {
        using ExtentAllocator allocator = Create(8 * MiB);
        ExtentRef held = allocator.Allocate(6 * MiB);
        var error = Assert.Throws<StorageFullException>(() => allocator.Allocate(3 * MiB));
        Assert.Contains($"{3 * MiB} bytes asked, {2 * MiB} of {8 * MiB} bytes are free", error.Message);
        Assert.Throws<StorageFullException>(() => allocator.Allocate(long.MaxValue));
        Assert.Equal(6 * MiB, allocator.UsedBytes);
        allocator.Free(held);
        allocator.Free(allocator.Allocate(8 * MiB));
        Assert.Equal(8 * MiB, allocator.CommittedBytes);
    }

    [Fact]
    public void SmallExtentsUseTheLastPagesOfAFullArena()
    {
        using ExtentAllocator allocator = Create(MiB);
        _ = allocator.Allocate(MiB - 8192);
        ExtentRef small = allocator.Allocate(5000);
        Assert.Equal(5056, allocator.UsedBytes - (MiB - 8192));
        allocator.Free(small);
    }

    [Fact]
    public void MemoryIsTakenAsNeededAndNeverMoreThanTheCapacity()
    {
        using ExtentAllocator allocator = Create(11 * MiB);
        Assert.Equal(0, allocator.CommittedBytes);
        _ = allocator.Allocate(MiB);
        Assert.Equal(4 * MiB, allocator.CommittedBytes);
        _ = allocator.Allocate(5 * MiB); // 3 are free at the end
        Assert.Equal(8 * MiB, allocator.CommittedBytes);
        _ = allocator.Allocate(4 * MiB);
        Assert.Equal(11 * MiB, allocator.CommittedBytes);
    }

    [Fact]
    public void SegmentsAreReportedAndExtentsFillThem()
    {
        using ExtentAllocator allocator = Create(12 * MiB, segment: 4 * MiB, growth: MiB);
        List<(int Number, int Fd, long Length)> created = [];
        allocator.Arena.SegmentCreated += s => created.Add((s.Number, s.Fd, s.Length));
        ExtentRef[] extents = [.. Enumerable.Range(0, 4).Select(_ => allocator.Allocate(3 * MiB))];
        Assert.Equal([0, 1, 2, 3], extents.Select(e => e.Segment));
        Assert.Equal([(0, 4 * MiB), (1, 4 * MiB), (2, 4 * MiB), (3, 3 * MiB)], created.Select(s => (s.Number, s.Length)));
        Assert.All(created, s => Assert.True(s.Fd >= 0));
        foreach (ExtentRef extent in extents)
            new Span<byte>(allocator.Address(extent), (int)extent.Length).Fill((byte)(extent.Segment + 1));
        foreach (ExtentRef extent in extents)
            Assert.Equal(-1, new Span<byte>(allocator.Address(extent), (int)extent.Length).IndexOfAnyExcept((byte)(extent.Segment + 1)));
    }

    [Fact]
    public void JaggedLifeDoesNotFragment()
    {
        using ExtentAllocator allocator = Create(4096 * MiB, growth: MiB);
        var random = new Random(7);
        Queue<ExtentRef> live = new();
        long mostUsed = 0;
        for (int step = 0; step < 20_000; step++)
        {
            live.Enqueue(allocator.Allocate((long)(random.NextDouble() * random.NextDouble() * 3 * MiB)));
            mostUsed = Math.Max(mostUsed, allocator.UsedBytes);
            while (live.Count > 60 + random.Next(40))
                allocator.Free(live.Dequeue());
        }
        Assert.InRange(allocator.CommittedBytes, mostUsed, mostUsed * 3 / 2);
    }

    [Fact]
    public void ASteadyStateAllocatesNoManagedMemory()
    {
        using ExtentAllocator allocator = Create(256 * MiB);
        Queue<ExtentRef> live = new(200);
        var random = new Random(3);
        for (int i = 0; i < 5000; i++)
            Step(allocator, live, random);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 5000; i++)
            Step(allocator, live, random);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 200_000); // tables may double once more, 10^4 steps don't show
    }

    private static void Step(ExtentAllocator allocator, Queue<ExtentRef> live, Random random)
    {
        live.Enqueue(allocator.Allocate(random.Next(300_000)));
        if (live.Count > 100)
            allocator.Free(live.Dequeue());
    }
}

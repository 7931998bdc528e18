using TransferQueue.Memory;
using Xunit;

namespace TransferQueue.Tests.Memory;

public sealed unsafe class FileArenaTests : IDisposable
{
    private const long MiB = 1 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("tq-offload").FullName;

    public void Dispose() => Directory.Delete(_folder); // not recursive: nothing may be left in it

    private ArenaOptions Options(long capacityBytes = 8 * MiB) =>
        new OffloadFolder(_folder).ArenaOptions() with { CapacityBytes = capacityBytes, SegmentBytes = capacityBytes, GrowthBytes = MiB };

    private Arena CreateGrown(SegmentTable? table = null)
    {
        var arena = new Arena(Options(), table);
        arena.Prepare();
        Assert.True(arena.TryGrow(MiB, 0, out _));
        return arena;
    }

    [Fact]
    public void ASegmentIsAFileOfTheFolderThatHasNoName()
    {
        using Arena arena = CreateGrown();
        ArenaSegment segment = Assert.Single(arena.Segments);
        Assert.True(segment.IsFile);
        string link = new FileInfo($"/proc/self/fd/{segment.Fd}").LinkTarget!;
        Assert.StartsWith(_folder + "/", link);
        Assert.EndsWith("(deleted)", link);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public void AnArenaOfFilesNeverMakesASecondSegment()
    {
        using Arena arena = CreateGrown();
        Assert.True(arena.TryGrow(7 * MiB, 0, out var grown));
        Assert.Equal((0, MiB, 7 * MiB), grown);
        Assert.False(arena.TryGrow(1, 0, out _));
        Assert.Single(arena.Segments);
    }

    [Fact]
    public void ArenasWithOneTableNumberTheirSegmentsTogether()
    {
        var table = new SegmentTable();
        using Arena files = CreateGrown(table);
        using var memory = new Arena(new ArenaOptions { CapacityBytes = 2 * MiB, GrowthBytes = MiB }, table);
        using var allocator = new ExtentAllocator(memory);
        var extent = allocator.Allocate(70_000);
        Assert.Equal((0, 1), (files.Segments[0].Number, extent.Segment));
        Assert.Equal([false], memory.Segments.Select(segment => segment.IsFile));
        Assert.Equal([true, false], table.Segments.Select(segment => segment.IsFile));
        allocator.Address(extent)[0] = 7;
        Assert.Equal(7, memory.Segments[0].Map[extent.Offset]);
        allocator.Free(extent);
    }

    [Fact]
    public void AFullDiskIsAnErrorWithNumbersAndTheFolder()
    {
        using var arena = new Arena(Options(64 * MiB) with { RemainingBytes = () => 10 * MiB, ReserveBytes = MiB });
        arena.Prepare();
        var error = Assert.Throws<StorageFullException>(() => arena.TryGrow(10 * MiB, 0, out _));
        Assert.Contains($"{10 * MiB} more bytes in {_folder} asked, its file system can spare {9 * MiB} beyond the {MiB}", error.Message);
        Assert.True(arena.TryGrow(9 * MiB, 0, out _));
    }

    [Theory]
    [InlineData("no/absolute/path")]
    [InlineData("/there/is/no/such/folder")]
    [InlineData("/proc/self/status")]
    public void AFolderThatIsNoneIsRefused(string path) => Assert.Throws<InvalidArgumentException>(() => new OffloadFolder(path));

    [Fact]
    public void AFolderInWhichNoFileCanBeMadeIsRefused() =>
        Assert.Contains("no file can be made in '/proc'", Assert.Throws<InvalidArgumentException>(() => new OffloadFolder("/proc").CreateFile()).Message);

    [Fact]
    public void AViewWhosePagesWereWrittenShowsTheFileAgainOnceTheyAreDropped()
    {
        using Arena arena = CreateGrown();
        ArenaSegment file = arena.Segments[0];
        new Span<byte>(file.Map, (int)MiB).Fill(1);
        using MappedSegment client = MappedSegment.Map(0, file.Fd, file.Length);
        new Span<byte>(client.Views + 4096, 4096).Fill(2);
        file.Map[8192] = 3;
        Assert.Equal(2, client.Views[4096]);
        Assert.Equal(3, client.Views[8192]);
        Assert.Equal(1, PageDropper.Drop(client.Views, MiB));
        Assert.Equal(1, client.Views[4096]);
    }

    [Fact]
    public void WhatAClientCopiesIntoAFileOthersSeeAlsoAfterItWasWrittenOut()
    {
        using Arena arena = CreateGrown();
        ArenaSegment file = arena.Segments[0];
        using MappedSegment client = MappedSegment.Map(0, file.Fd, file.Length);
        for (byte round = 1; round < 4; round++)
        {
            client.Populate(0, MiB);
            new Span<byte>(client.Shared, (int)MiB).Fill(round);
            using (var stream = new FileStream($"/proc/self/fd/{file.Fd}", FileMode.Open, FileAccess.ReadWrite))
                stream.Flush(flushToDisk: true); // the pages are clean and write-protected now
            Assert.True(new ReadOnlySpan<byte>(file.Map, (int)MiB).IndexOfAnyExcept(round) < 0);
        }
    }
}

using System.Runtime.InteropServices;
using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using Xunit;

namespace TransferQueue.Tests.Memory;

public sealed unsafe class ArenaTests
{
    private const long MiB = 1 << 20;

    private static Arena CreateGrown(out ArenaSegment segment)
    {
        var arena = new Arena(new ArenaOptions { CapacityBytes = 8 * MiB, GrowthBytes = MiB });
        Assert.True(arena.TryGrow(MiB, 0, out _));
        segment = arena.Segments[0];
        return arena;
    }

    [Fact]
    public void ASegmentIsAnUnlinkedFileThatCannotShrink()
    {
        using Arena arena = CreateGrown(out ArenaSegment segment);
        Assert.StartsWith("/memfd:transferqueue-arena", new FileInfo($"/proc/self/fd/{segment.Fd}").LinkTarget);
        Assert.Equal(Libc.F_SEAL_SHRINK, Libc.fcntl(segment.Fd, Libc.F_GET_SEALS, 0) & Libc.F_SEAL_SHRINK);
        Assert.Equal(-1, Libc.ftruncate(segment.Fd, 4096));
        Assert.Equal(Errno.EPERM, Marshal.GetLastSystemError());
        Assert.Equal(8 * MiB, segment.Length);
    }

    [Fact]
    public void AnotherMapOfTheFileSeesWhatIsWritten()
    {
        using Arena arena = CreateGrown(out ArenaSegment segment);
        arena.Address(0, 12345)[0] = 77;
        void* other = Libc.mmap(null, (nuint)segment.Length, Libc.PROT_READ, Libc.MAP_SHARED, segment.Fd, 0);
        Assert.Equal(77, ((byte*)other)[12345]);
        Libc.munmap(other, (nuint)segment.Length);
    }

    [Fact]
    public void GrowthNeverMovesWhatIsThere()
    {
        using Arena arena = CreateGrown(out _);
        byte* before = arena.Address(0, 0);
        before[5] = 9;
        Assert.True(arena.TryGrow(6 * MiB, MiB, out var grown));
        Assert.Equal((0, MiB, 5 * MiB), grown);
        Assert.Equal((nint)before, (nint)arena.Address(0, 0));
        Assert.Equal(9, arena.Address(0, 0)[5]);
        Assert.False(arena.TryGrow(3 * MiB, 0, out _));
        Assert.Single(arena.Segments);
    }

    [Fact]
    public void GrowthIsReportedForPopulating()
    {
        using var arena = new Arena(new ArenaOptions { CapacityBytes = 8 * MiB, GrowthBytes = 2 * MiB });
        List<(int, long, long)> grown = [];
        arena.Grown += (segment, offset, bytes) => grown.Add((segment.Number, offset, bytes));
        arena.TryGrow(1, 0, out _);
        arena.TryGrow(3 * MiB, 2 * MiB, out _);
        Assert.Equal([(0, 0L, 2 * MiB), (0, 2 * MiB, 2 * MiB)], grown);
    }

    [Fact]
    public void MemoryThatTheSystemHasNotIsAnErrorWithNumbers()
    {
        long remaining = 10 * MiB;
        using var arena = new Arena(new ArenaOptions { CapacityBytes = 64 * MiB, GrowthBytes = 4 * MiB, ReserveBytes = MiB, RemainingBytes = () => remaining });
        var error = Assert.Throws<StorageFullException>(() => arena.TryGrow(10 * MiB, 0, out _));
        Assert.Contains($"{10 * MiB} more bytes of shared memory asked, the system can spare {9 * MiB}", error.Message);
        Assert.Empty(arena.Segments);
        Assert.True(arena.TryGrow(9 * MiB, 0, out var grown)); // it goes on; and takes no more than there is
        Assert.Equal((0, 0L, 9 * MiB), grown);
        remaining = 0;
        Assert.Throws<StorageFullException>(() => arena.TryGrow(1, 0, out _));
    }

    [Fact]
    public void TheSystemIsAskedByDefault()
    {
        using var arena = new Arena(new ArenaOptions { CapacityBytes = 1L << 50 });
        var error = Assert.Throws<StorageFullException>(() => arena.TryGrow(1L << 50, 0, out _)); // not even tried: the kernel would kill processes
        Assert.Contains("the system can spare", error.Message);
        Assert.Empty(arena.Segments);
    }

    [Fact]
    public void DisposeClosesTheFiles()
    {
        Arena arena = CreateGrown(out ArenaSegment segment);
        int fd = segment.Fd;
        arena.Dispose();
        arena.Dispose();
        Assert.False(new FileInfo($"/proc/self/fd/{fd}").LinkTarget?.StartsWith("/memfd:transferqueue-arena", StringComparison.Ordinal) ?? false);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void ACapacityMustBePositive(long bytes) =>
        Assert.Throws<InvalidArgumentException>(() => new ArenaOptions { CapacityBytes = bytes });
}

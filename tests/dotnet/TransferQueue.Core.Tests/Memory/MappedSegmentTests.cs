using System.Globalization;
using TransferQueue.Memory;
using Xunit;

namespace TransferQueue.Tests.Memory;

/// <summary>The two maps of a client, and what dropping pages does, on real memory.</summary>
public sealed unsafe class MappedSegmentTests : IDisposable
{
    private const long Page = Arena.PageBytes;
    private const int Pages = 600;

    private readonly Arena _arena = new(new ArenaOptions { CapacityBytes = 64 << 20, GrowthBytes = 1 << 20 });
    private readonly MappedSegment _mapped;

    public MappedSegmentTests()
    {
        Assert.True(_arena.TryGrow(Pages * Page, 0, out _));
        _mapped = MappedSegment.Map(0, _arena.Segments[0].Fd, _arena.Segments[0].Length);
    }

    public void Dispose()
    {
        _mapped.Dispose();
        _arena.Dispose();
    }

    [Fact]
    public void BothMapsShowWhatTheCoreWrites()
    {
        Fill(0, Pages, 1);
        Assert.Equal((1, 1), (_mapped.Shared[5 * Page], _mapped.Views[5 * Page]));
        _mapped.Shared[5 * Page] = 2;
        Assert.Equal((2, 2), (*_arena.Address(0, 5 * Page), _mapped.Views[5 * Page]));
    }

    [Fact]
    public void AWrittenPageIsStaleUntilItIsDropped()
    {
        Fill(0, Pages, 1);
        _mapped.Views[3 * Page] = 9;
        Fill(0, Pages, 2);
        Assert.Equal((1, 2), (_mapped.Views[3 * Page + 1], _mapped.Views[4 * Page]));
        Assert.Equal(2, *_arena.Address(0, 3 * Page));
        PageDropper.Drop(_mapped.Views, Pages * Page);
        Assert.Equal((2, 2), (_mapped.Views[3 * Page], _mapped.Views[3 * Page + 1]));
    }

    /// <summary>How the written pages are found: as <see cref="PageDropper.Drop"/> chooses, or one way for certain.</summary>
    public enum Way
    {
        Chosen,
        Scanned,
        Read,
    }

    [Theory]
    [InlineData(Way.Chosen)]
    [InlineData(Way.Scanned)]
    [InlineData(Way.Read)]
    public void OnlyTheWrittenPagesOfALargeRangeAreDropped(Way way)
    {
        int[] written = [0, 7, 8, 9, 64, .. Enumerable.Range(70, 60).Where(page => page % 2 == 0), Pages - 1];
        Fill(0, Pages, 1);
        foreach (int page in written)
            _mapped.Views[page * Page] = 9;
        byte read = _mapped.Views[20 * Page];
        Assert.Equal(written.Length, Drop(way));
        Assert.Equal(0, Drop(way));
        Assert.Equal(1, read);
        Assert.All(written, page => Assert.Equal(1, _mapped.Views[page * Page]));
    }

    [Fact]
    public void AScanGoesOnWhereItsAnswerWasFull()
    {
        Fill(0, Pages, 1);
        for (int page = 1; page < Pages; page += 2)
            _mapped.Views[page * Page] = 9; // 300 runs, and an answer has room for 128
        Assert.Equal(Pages / 2, Drop(Way.Scanned));
        Assert.Equal(1, _mapped.Views[(Pages - 1) * Page]);
    }

    [Fact]
    public void NothingBesideTheRangeIsDropped()
    {
        Fill(0, Pages, 1);
        for (int page = 0; page < Pages; page++)
            _mapped.Views[page * Page] = 9;
        Assert.Equal(100, PageDropper.Drop(_mapped.Views + 50 * Page, 100 * Page));
        Assert.Equal(3, PageDropper.Drop(_mapped.Views + 10 * Page, 3 * Page));
        byte[] seen = [.. Enumerable.Range(0, Pages).Select(page => _mapped.Views[page * Page])];
        Assert.Equal([.. Enumerable.Range(0, Pages).Select(page => (byte)(page is (>= 50 and < 150) or (>= 10 and < 13) ? 1 : 9))], seen);
    }

    [Fact]
    public void PopulatingMakesThePagesPresentWithoutChangingThem()
    {
        Fill(0, Pages, 7);
        Assert.True(PresentKilobytes() <= 64); // a new map, none of whose pages was touched but by readers around
        _mapped.Populate(2 * Page, 20 * Page + 1);
        long present = PresentKilobytes();
        Assert.InRange(present, 21 * 4, 21 * 4 + 64);
        _mapped.Populate(0, Pages * Page);
        Assert.Equal(Pages * 4, PresentKilobytes());
        Assert.Equal(-1, new Span<byte>(_mapped.Shared, (int)(Pages * Page)).IndexOfAnyExcept((byte)7));
    }

    private void Fill(int page, int count, byte value) => new Span<byte>(_arena.Address(0, page * Page), (int)(count * Page)).Fill(value);

    private long Drop(Way way)
    {
        long dropped = way switch
        {
            Way.Scanned => PageDropper.DropScanned(_mapped.Views, Pages * Page),
            Way.Read => PageDropper.DropRead(_mapped.Views, Pages * Page),
            _ => PageDropper.Drop(_mapped.Views, Pages * Page),
        };
        Assert.SkipWhen(dropped < 0 && Environment.OSVersion.Version < new Version(6, 7), "this kernel has no PAGEMAP_SCAN (Linux 6.7)");
        return dropped;
    }

    /// <summary>Rss of the shared map, as the kernel tells it.</summary>
    private long PresentKilobytes()
    {
        string start = ((long)_mapped.Shared).ToString("x", CultureInfo.InvariantCulture) + "-";
        string[] lines = File.ReadAllLines("/proc/self/smaps");
        int at = Array.FindIndex(lines, line => line.StartsWith(start, StringComparison.Ordinal));
        Assert.True(at >= 0, "the map is not there");
        string rss = lines.Skip(at).First(line => line.StartsWith("Rss:", StringComparison.Ordinal));
        return long.Parse(rss.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}

using TransferQueue.Memory.Native;

namespace TransferQueue.Memory;

/// <summary>
/// Drops the pages of a copy-on-write map that were written, so that the map shows the file's bytes again. Written are those that the
/// kernel's page map calls present and not of a file, or swapped (Documentation/admin-guide/mm/pagemap.rst); the others stay mapped and warm.
/// </summary>
/// <remarks>
/// The kernel searches them itself (PAGEMAP_SCAN; a third of the time of reading eight bytes a page, measured over 288 MiB with cold
/// caches); before Linux 6.7 they are read. Thread-safe for ranges that no two threads drop at a time.
/// </remarks>
internal static unsafe class PageDropper
{
    /// <summary>Below this many bytes all pages are dropped: asking which were written costs more than to map them again.</summary>
    public const long ScannedBytes = 256 << 10;

    private const ulong Swapped = 1UL << 62;
    private const ulong Present = 1UL << 63;
    private const ulong OfFile = 1UL << 61;
    private const int PagesPerRead = 512;
    private const int RegionsPerScan = 128;

    private static readonly int PageMap = OpenPageMap();

    /// <summary>Drops the written pages of a range.</summary>
    /// <param name="address">First byte, page-aligned.</param>
    /// <param name="bytes">Whole pages.</param>
    /// <returns>Pages dropped.</returns>
    /// <exception cref="TransferQueueException">The kernel refuses; then the range must not be used again.</exception>
    public static long Drop(byte* address, long bytes)
    {
        if (bytes < ScannedBytes || PageMap < 0)
            return DropAll(address, bytes);
        long dropped = DropScanned(address, bytes);
        return dropped >= 0 ? dropped : DropRead(address, bytes);
    }

    /// <summary>Drops what the kernel's search finds.</summary>
    /// <returns>Pages dropped; −1 where the kernel has no such search, and the range is as it was or partly dropped.</returns>
    internal static long DropScanned(byte* address, long bytes)
    {
        PageRegion* regions = stackalloc PageRegion[RegionsPerScan];
        var scan = new PageMapScan
        {
            size = (ulong)sizeof(PageMapScan),
            end = (ulong)address + (ulong)bytes,
            vec = regions,
            vec_len = RegionsPerScan,
            category_inverted = PageMapScan.PAGE_IS_FILE,
            category_mask = PageMapScan.PAGE_IS_FILE,
            category_anyof_mask = PageMapScan.PAGE_IS_PRESENT | PageMapScan.PAGE_IS_SWAPPED,
            return_mask = PageMapScan.PAGE_IS_PRESENT,
        };
        long dropped = 0;
        for (scan.start = (ulong)address; scan.start < scan.end; scan.start = scan.walk_end)
        {
            int found = Libc.ioctl(PageMap, (nuint)PageMapScan.PAGEMAP_SCAN, &scan);
            if (found < 0)
                return -1;
            for (int i = 0; i < found; i++)
                dropped += DropAll((byte*)regions[i].start, (long)(regions[i].end - regions[i].start));
        }
        return dropped;
    }

    /// <summary>Drops what reading the page map finds.</summary>
    /// <returns>Pages dropped.</returns>
    internal static long DropRead(byte* address, long bytes)
    {
        long dropped = 0, pages = bytes / Arena.PageBytes, run = 0;
        ulong* entries = stackalloc ulong[PagesPerRead];
        for (long page = 0; page < pages; page += PagesPerRead)
        {
            int count = (int)Math.Min(PagesPerRead, pages - page);
            nint read = Libc.pread(PageMap, entries, (nuint)(count * sizeof(ulong)), (long)((ulong)address / Arena.PageBytes + (ulong)page) * sizeof(ulong));
            if (read != count * sizeof(ulong))
                return dropped + DropAll(address, bytes);
            for (int i = 0; i < count; i++)
            {
                if (IsWritten(entries[i]))
                    run++;
                else if (run > 0)
                    dropped += DropRun(address, page + i, ref run);
            }
        }
        return run > 0 ? dropped + DropRun(address, pages, ref run) : dropped;
    }

    private static bool IsWritten(ulong entry) => (entry & Swapped) != 0 || (entry & (Present | OfFile)) == Present;

    /// <summary>Drops the <paramref name="run"/> pages before <paramref name="end"/>.</summary>
    private static long DropRun(byte* address, long end, ref long run)
    {
        long pages = DropAll(address + (end - run) * Arena.PageBytes, run * Arena.PageBytes);
        run = 0;
        return pages;
    }

    private static long DropAll(byte* address, long bytes)
    {
        Errno.Check(Libc.madvise(address, (nuint)bytes, Libc.MADV_DONTNEED), $"shared memory: dropping {bytes} bytes of a view");
        return bytes / Arena.PageBytes;
    }

    /// <returns>−1 where there is no /proc.</returns>
    private static int OpenPageMap()
    {
        fixed (byte* path = "/proc/self/pagemap\0"u8)
            return Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0);
    }
}

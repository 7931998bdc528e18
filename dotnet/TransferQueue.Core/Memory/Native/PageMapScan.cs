using System.Runtime.InteropServices;

namespace TransferQueue.Memory.Native;

/// <summary>Argument of the ioctl <c>PAGEMAP_SCAN</c>, Linux 6.7 and later (Documentation/admin-guide/mm/pagemap.rst).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PageMapScan
{
    internal const ulong PAGEMAP_SCAN = 0xC060_6610; // _IOWR('f', 16, 96 bytes)
    internal const ulong PAGE_IS_FILE = 1 << 2;
    internal const ulong PAGE_IS_PRESENT = 1 << 3;
    internal const ulong PAGE_IS_SWAPPED = 1 << 4;

    internal ulong size;
    internal ulong flags;
    internal ulong start;
    internal ulong end;
    internal ulong walk_end;
    internal PageRegion* vec;
    internal ulong vec_len;
    internal ulong max_pages;
    internal ulong category_inverted;
    internal ulong category_mask;
    internal ulong category_anyof_mask;
    internal ulong return_mask;
}

/// <summary>A run of pages that <see cref="PageMapScan"/> found; addresses in bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PageRegion
{
    internal ulong start;
    internal ulong end;
    internal ulong categories;
}

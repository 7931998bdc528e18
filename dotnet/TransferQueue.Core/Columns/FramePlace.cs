namespace TransferQueue.Columns;

/// <summary>
/// Where a frame's bytes lie in shared memory, as one number of the wire (docs/wire.md, section 1.1): segment × 2^48 + offset. An
/// <see cref="ExtentRef"/> without its length and its life.
/// </summary>
internal static class FramePlace
{
    /// <summary>The frame is in the message as usual.</summary>
    public const ulong Inline = ulong.MaxValue;

    /// <summary>Bytes from which a frame owns pages, and may be placed.</summary>
    public const long SmallestBytes = 64 << 10;

    /// <summary>Bytes that one segment can have.</summary>
    public const long SegmentBytes = 1L << OffsetBits;

    private const int OffsetBits = 48;

    /// <summary>Joins a segment's number, 0 to 65534, and an offset in it, below 2^48.</summary>
    public static ulong Of(int segment, long offset)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)segment, (uint)ushort.MaxValue, nameof(segment));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)offset, (ulong)SegmentBytes, nameof(offset));
        return (ulong)segment << OffsetBits | (ulong)offset;
    }

    /// <summary>The number of the segment.</summary>
    public static int Segment(ulong place) => (int)(place >> OffsetBits);

    /// <summary>The first byte in it.</summary>
    public static long Offset(ulong place) => (long)(place & (ulong)SegmentBytes - 1);
}

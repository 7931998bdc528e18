using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>Some consecutive rows of a frame with offsets, or of a dense one that is read as if it had, in native memory that the caller holds. A value; any thread.</summary>
/// <remarks>
/// The offsets may lie in memory that a client can still write to. So the two that say where the rows begin and end are read once and checked
/// against the frame, and the others are kept between these two: whatever a client writes later, nothing outside of the frame is ever read,
/// and what is written is as long as was said before.
/// </remarks>
internal readonly unsafe struct OffsetRows
{
    private readonly byte* _frame;
    private readonly ColumnLayout _layout;
    private readonly int _frameRows;
    private readonly int _first;

    /// <summary>Units of each row of a dense frame, which has no offsets; −1: it has.</summary>
    private readonly long _rowUnits = -1;

    /// <summary>Rows <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/> of a frame of <paramref name="frameRows"/> rows.</summary>
    /// <exception cref="ProtocolException">The offsets lead out of the frame.</exception>
    public OffsetRows(NativeSegment frame, in ColumnLayout layout, int frameRows, int first, int count)
    {
        _frame = frame.Pointer;
        (_layout, _frameRows, _first) = (layout, frameRows, first);
        Count = count;
        long* offsets = (long*)_frame;
        Start = Volatile.Read(ref offsets[first]);
        End = Volatile.Read(ref offsets[first + count]);
        long unit = layout.UnitBytes;
        if (Start < 0 || End < Start || (unit > 0 && End > (frame.Length - layout.ValuesStart(frameRows)) / unit))
            throw new ProtocolException(
                $"column of {layout}: rows {first} to {first + count} lie from {Start} to {End}, which is not inside its {frame.Length} bytes: "
                + "the process that put it has written over its offsets; put it again");
    }

    private OffsetRows(NativeSegment frame, in ColumnLayout layout, long rowUnits, int first, int count)
    {
        _frame = frame.Pointer;
        (_layout, _rowUnits, _first) = (layout, rowUnits, first);
        Count = count;
        Start = first * rowUnits;
        End = checked((first + (long)count) * rowUnits);
    }

    /// <summary>Rows of a dense frame as a jagged layout sees them.</summary>
    /// <param name="frame">The dense frame.</param>
    /// <param name="layout">Jagged along the first dimension, else as the frame's.</param>
    /// <param name="rowUnits">Slices of each row.</param>
    /// <param name="first">The first row.</param>
    /// <param name="count">Rows.</param>
    public static OffsetRows Uniform(NativeSegment frame, in ColumnLayout layout, long rowUnits, int first, int count) =>
        new(frame, layout, rowUnits, first, count);

    /// <summary>Rows.</summary>
    public int Count { get; }

    /// <summary>Where they begin, in units of the offsets.</summary>
    public long Start { get; }

    /// <summary>Where they end.</summary>
    public long End { get; }

    /// <summary>Bytes of their values.</summary>
    public long ValueBytes => (End - Start) * _layout.UnitBytes;

    /// <summary>Their values, one stretch.</summary>
    public NativeSegment Values => NativeSegment.At(_frame + (_rowUnits < 0 ? _layout.ValuesStart(_frameRows) : 0) + Start * _layout.UnitBytes, ValueBytes);

    /// <summary>Writes their ends, counted from <paramref name="start"/>, behind each other; returns the last one.</summary>
    public long CopyEndsTo(Span<long> ends, long start)
    {
        long shift = start - Start;
        if (_rowUnits >= 0)
        {
            for (int i = 0; i < ends.Length; i++)
                ends[i] = start + (i + 1) * _rowUnits;
            return End + shift;
        }
        long* offsets = (long*)_frame + _first + 1;
        long end = Start;
        for (int i = 0; i < ends.Length; i++)
        {
            end = Math.Clamp(Volatile.Read(ref offsets[i]), end, End);
            ends[i] = end + shift;
        }
        if (ends.Length > 0)
            ends[^1] = End + shift;
        return End + shift;
    }

    /// <summary>Writes the shapes of ragged rows behind each other.</summary>
    public void CopyShapesTo(Span<int> shapes)
    {
        int* own = (int*)(_frame + (_frameRows + 1L) * sizeof(long));
        new ReadOnlySpan<int>(own + (long)_first * _layout.Rank, Count * _layout.Rank).CopyTo(shapes);
    }

    /// <summary>Writes a frame of these rows alone.</summary>
    public void CopyTo(byte* frame)
    {
        long start = _layout.ValuesStart(Count);
        new Span<byte>(frame, checked((int)start)).Clear();
        CopyEndsTo(new Span<long>((long*)frame + 1, Count), 0);
        if (_layout.Kind == ColumnKind.Ragged)
            CopyShapesTo(new Span<int>(frame + (Count + 1L) * sizeof(long), Count * _layout.Rank));
        NativeSegment values = Values;
        CopyKernels.Copy(values.Pointer, frame + start, values.Length);
    }
}

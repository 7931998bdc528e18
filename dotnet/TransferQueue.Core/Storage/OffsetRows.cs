using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>Some consecutive rows of a frame with offsets, in native memory that the caller holds. A value; any thread.</summary>
internal readonly unsafe struct OffsetRows
{
    private readonly byte* _frame;
    private readonly ColumnLayout _layout;
    private readonly int _frameRows;
    private readonly int _first;

    /// <summary>Rows <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/> of a frame of <paramref name="frameRows"/> rows.</summary>
    public OffsetRows(byte* frame, ColumnLayout layout, int frameRows, int first, int count)
    {
        _frame = frame;
        (_layout, _frameRows, _first) = (layout, frameRows, first);
        Count = count;
    }

    /// <summary>Rows.</summary>
    public int Count { get; }

    /// <summary>Bytes of their values.</summary>
    public long ValueBytes => (Offsets[Count] - Offsets[0]) * _layout.UnitBytes;

    /// <summary>Their values, one stretch.</summary>
    public NativeSegment Values =>
        NativeSegment.At(_frame + _layout.ValuesStart(_frameRows) + Offsets[0] * _layout.UnitBytes, ValueBytes);

    /// <summary>Their offsets in the frame, one more than rows.</summary>
    private ReadOnlySpan<long> Offsets => new((long*)_frame + _first, Count + 1);

    /// <summary>Writes their ends, counted from <paramref name="start"/>, behind each other; returns the last one.</summary>
    public long CopyEndsTo(Span<long> ends, long start)
    {
        ReadOnlySpan<long> offsets = Offsets;
        long shift = start - offsets[0];
        for (int i = 0; i < Count; i++)
            ends[i] = offsets[i + 1] + shift;
        return offsets[Count] + shift;
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

namespace TransferQueue.Memory;

/// <summary>The segments of all arenas of one node, by the numbers that places on the wire have: from 0, without a gap.</summary>
/// <remarks>The writer adds; any thread reads what it was given a number of.</remarks>
internal sealed class SegmentTable
{
    /// <summary>Replaced, never changed, so that readers on other threads see whole arrays.</summary>
    private volatile ArenaSegment[] _segments = [];

    /// <summary>All segments, in the order of their numbers.</summary>
    public IReadOnlyList<ArenaSegment> Segments => _segments;

    /// <summary>The segment of a number.</summary>
    public ArenaSegment this[int number] => _segments[number];

    /// <summary>Adds the segment that <paramref name="create"/> makes for the next number.</summary>
    internal ArenaSegment Add(Func<int, ArenaSegment> create)
    {
        ArenaSegment segment = create(_segments.Length);
        _segments = [.. _segments, segment];
        return segment;
    }
}

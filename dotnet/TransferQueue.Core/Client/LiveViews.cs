using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Client;

/// <summary>
/// Which pages of the private maps somebody looks at. Two live views never share a page: what the one's holder writes would show in
/// the other, and the pages of the first to end couldn't be dropped.
/// </summary>
/// <remarks>Thread-safe.</remarks>
internal sealed class LiveViews
{
    private readonly Lock _gate = new();
    private readonly List<PageSet> _segments = [];

    /// <summary>Pages that are looked at.</summary>
    public long Pages
    {
        get
        {
            lock (_gate)
                return _segments.Sum(pages => pages.Count);
        }
    }

    /// <summary>Takes the pages of a stretch; false, and nothing is taken, if one of them is taken already.</summary>
    public bool TryAdd(ulong place, long length)
    {
        (long first, long count) = PagesOf(place, length);
        lock (_gate)
        {
            while (_segments.Count <= FramePlace.Segment(place))
                _segments.Add(new PageSet());
            PageSet pages = _segments[FramePlace.Segment(place)];
            if (pages.Overlaps(first, count))
                return false;
            pages.Add(first, count);
            return true;
        }
    }

    /// <summary>Gives the pages of a stretch back. Their written ones have been dropped before.</summary>
    public void Remove(ulong place, long length)
    {
        (long first, long count) = PagesOf(place, length);
        lock (_gate)
            _segments[FramePlace.Segment(place)].Remove(first, count);
    }

    /// <summary>The pages on which a stretch lies.</summary>
    internal static (long First, long Count) PagesOf(ulong place, long length)
    {
        long first = FramePlace.Offset(place) / Arena.PageBytes;
        return (first, (FramePlace.Offset(place) + length + Arena.PageBytes - 1) / Arena.PageBytes - first);
    }
}

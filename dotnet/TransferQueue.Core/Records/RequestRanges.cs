namespace TransferQueue.Records;

/// <summary>
/// A set of request ids as disjoint ranges: ids are given out one after the other, so that a client has about as many ranges as it has
/// requests outstanding, however long it lives. Writer thread only.
/// </summary>
internal sealed class RequestRanges
{
    /// <summary>Ascending, with a gap between neighbours.</summary>
    private readonly List<(ulong First, ulong Last)> _ranges = [];

    /// <summary>Ranges.</summary>
    public int Count => _ranges.Count;

    /// <summary>Whether the id is in the set.</summary>
    public bool Contains(ulong id)
    {
        int at = Before(id);
        return at >= 0 && id <= _ranges[at].Last;
    }

    /// <summary>Adds an id.</summary>
    public void Add(ulong id)
    {
        int at = Before(id);
        if (at >= 0 && id <= _ranges[at].Last)
            return;
        bool joinsLeft = at >= 0 && _ranges[at].Last == id - 1;
        bool joinsRight = at + 1 < _ranges.Count && _ranges[at + 1].First == id + 1;
        if (joinsLeft && joinsRight)
        {
            _ranges[at] = (_ranges[at].First, _ranges[at + 1].Last);
            _ranges.RemoveAt(at + 1);
        }
        else if (joinsLeft)
            _ranges[at] = (_ranges[at].First, id);
        else if (joinsRight)
            _ranges[at + 1] = (id, _ranges[at + 1].Last);
        else
            _ranges.Insert(at + 1, (id, id));
    }

    /// <summary>Takes out all smaller ids.</summary>
    public void RemoveBelow(ulong id)
    {
        int gone = 0;
        while (gone < _ranges.Count && _ranges[gone].Last < id)
            gone++;
        _ranges.RemoveRange(0, gone);
        if (_ranges.Count > 0 && _ranges[0].First < id)
            _ranges[0] = (id, _ranges[0].Last);
    }

    /// <summary>The last range that begins at or before an id; −1: none.</summary>
    private int Before(ulong id)
    {
        int low = 0, high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges[middle].First <= id)
                low = middle + 1;
            else
                high = middle;
        }
        return low - 1;
    }
}

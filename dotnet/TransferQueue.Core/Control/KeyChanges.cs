namespace TransferQueue.Control;

/// <summary>
/// What of a partition's keys and tags changed since some moment: the slots in the order of their last change, and the keys that
/// were removed lately.
/// </summary>
/// <remarks>
/// A change costs O(1), a look-up O(changes since). As many removals are kept as there are keys, but at least
/// <see cref="FewestRemovals"/>: with more of them, all keys are the shorter answer. Writer thread only.
/// </remarks>
internal sealed class KeyChanges
{
    /// <summary>So many removals are always kept.</summary>
    internal const int FewestRemovals = 1024;

    private readonly ChangeClock _clock;

    /// <summary>The slots that have a key, by their last change.</summary>
    private readonly SlotList _slots = new();

    /// <summary>By slot: when it got its key, and its last change; only slots in <see cref="_slots"/> count.</summary>
    private (long Added, long Changed)[] _moments = [];

    /// <summary>Keys that were removed, ascending; those before <see cref="_forgotten"/> are no longer known.</summary>
    private readonly List<(long Moment, string Key)> _removed = [];
    private int _forgotten;

    public KeyChanges(ChangeClock clock)
    {
        _clock = clock;
        Version = First = clock.Next();
    }

    /// <summary>The last change.</summary>
    public long Version { get; private set; }

    /// <summary>The first moment since which all changes are known.</summary>
    public long First { get; private set; }

    /// <summary>Slots and removals looked at so far: a test holds it against the changes.</summary>
    public long Visited { get; private set; }

    /// <summary>Notes that a slot got a key.</summary>
    public void Add(int slot)
    {
        if (slot >= _moments.Length)
            Array.Resize(ref _moments, Math.Max(64, Math.Max(slot + 1, _moments.Length * 2)));
        Version = _clock.Next();
        _moments[slot] = (Version, Version);
        _slots.Add(slot);
    }

    /// <summary>Notes that the tag of a slot with a key changed.</summary>
    public void Change(int slot)
    {
        Version = _clock.Next();
        _moments[slot].Changed = Version;
        if (_slots.Last == slot)
            return;
        _slots.Remove(slot);
        _slots.Add(slot);
    }

    /// <summary>Notes that a slot lost its key.</summary>
    /// <param name="slot">The slot.</param>
    /// <param name="key">Its key.</param>
    /// <param name="left">Keys that there are without it.</param>
    public void Remove(int slot, string key, int left)
    {
        Version = _clock.Next();
        _slots.Remove(slot);
        _removed.Add((Version, key));
        while (_removed.Count - _forgotten > Math.Max(FewestRemovals, left))
        {
            First = _removed[_forgotten].Moment;
            _removed[_forgotten++] = default;
        }
        if (_forgotten <= _removed.Count / 2)
            return;
        _removed.RemoveRange(0, _forgotten);
        _forgotten = 0;
    }

    /// <summary>The changes since a moment that <see cref="Version"/> had.</summary>
    /// <param name="since">The moment; any number may be asked for.</param>
    /// <param name="most">More changes than so many are not looked at.</param>
    /// <param name="slots">The slots that got a key or a tag since, in the order in which they got their keys.</param>
    /// <param name="removed">Keys that were removed since; some may be there again.</param>
    /// <returns>False: not all of them are known, or there are more than <paramref name="most"/>.</returns>
    public bool TryFind(long since, int most, out List<int> slots, out List<string> removed)
    {
        (slots, removed) = ([], []);
        if (since < First || since > Version)
            return false;
        for (int i = _removed.Count - 1; i >= _forgotten && _removed[i].Moment > since; i--)
        {
            Visited++;
            removed.Add(_removed[i].Key);
            if (removed.Count > most)
                return false;
        }
        for (int slot = _slots.Last; slot >= 0 && _moments[slot].Changed > since; slot = _slots.Previous(slot))
        {
            Visited++;
            slots.Add(slot);
            if (slots.Count + removed.Count > most)
                return false;
        }
        slots.Sort((a, b) => _moments[a].Added.CompareTo(_moments[b].Added));
        return true;
    }
}

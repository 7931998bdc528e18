namespace TransferQueue.Control;

/// <summary>Some slots, each at most once, in the order in which they were added: a linked list over slots. Writer thread only.</summary>
internal sealed class SlotList
{
    private const int End = -1;

    private int[] _next = [];
    private int[] _previous = [];
    private int _head = End;
    private int _tail = End;

    /// <summary>The slot that was added first, or −1.</summary>
    public int First => _head;

    /// <summary>The slot that was added last, or −1.</summary>
    public int Last => _tail;

    /// <summary>The slot that was added next after <paramref name="slot"/>, or −1.</summary>
    public int Next(int slot) => _next[slot];

    /// <summary>The slot that was added next before <paramref name="slot"/>, or −1.</summary>
    public int Previous(int slot) => _previous[slot];

    /// <summary>Appends a slot.</summary>
    public void Add(int slot)
    {
        if (slot >= _next.Length)
        {
            int size = Math.Max(64, Math.Max(slot + 1, _next.Length * 2));
            Array.Resize(ref _next, size);
            Array.Resize(ref _previous, size);
        }
        _next[slot] = End;
        _previous[slot] = _tail;
        if (_tail == End)
            _head = slot;
        else
            _next[_tail] = slot;
        _tail = slot;
    }

    /// <summary>Takes a slot out.</summary>
    public void Remove(int slot)
    {
        if (_previous[slot] == End)
            _head = _next[slot];
        else
            _next[_previous[slot]] = _next[slot];
        if (_next[slot] == End)
            _tail = _previous[slot];
        else
            _previous[_next[slot]] = _previous[slot];
    }
}

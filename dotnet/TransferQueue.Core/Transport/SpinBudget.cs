namespace TransferQueue.Transport;

/// <summary>
/// Decides whether it pays to ask a socket again and again for some microseconds before sleeping. An answer that comes within that time saves two
/// changes of threads, which cost several times as much as the server's work for a small request; but where answers take longer, because the server is busy
/// or processors are scarce, the time is lost. So each failure doubles the number of waits that sleep at once, up to 64, and a success forgets it. One thread at a time.
/// </summary>
internal struct SpinBudget
{
    private const int MostSkipped = 64;

    /// <summary>Waits that are still to sleep at once; how many it is after the next failure.</summary>
    private int _skip;
    private int _penalty;

    /// <summary>Whether this wait may spin; then tell <see cref="Note"/> how it ended.</summary>
    public bool TryTake()
    {
        if (_skip == 0)
            return true;
        _skip--;
        return false;
    }

    /// <summary>Notes how a wait that did spin ended.</summary>
    public void Note(bool wasEnough)
    {
        _skip = wasEnough ? 0 : Math.Max(1, _penalty);
        _penalty = wasEnough ? 0 : Math.Min(MostSkipped, 2 * _skip);
    }
}

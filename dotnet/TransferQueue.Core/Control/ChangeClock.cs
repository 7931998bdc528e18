namespace TransferQueue.Control;

/// <summary>Numbers the changes of keys and tags of all partitions of a controller. Writer thread only.</summary>
internal sealed class ChangeClock
{
    private long _now;

    /// <summary>The number of the next change, > 0; none comes twice.</summary>
    public long Next() => ++_now;
}

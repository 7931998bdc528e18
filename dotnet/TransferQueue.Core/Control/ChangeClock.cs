namespace TransferQueue.Control;

/// <summary>Numbers the changes of keys and tags of all partitions of a controller. Writer thread only.</summary>
/// <param name="start">The first number is one more.</param>
internal sealed class ChangeClock(long start = 0)
{
    private long _now = start;

    /// <summary>The number of the last change, or where it started.</summary>
    public long Now => _now;

    /// <summary>The number of the next change, > 0; none comes twice.</summary>
    public long Next() => ++_now;
}

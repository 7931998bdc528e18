namespace TransferQueue.Client;

/// <summary>The right to read the placed frames of one answer. It ends with the last of its holders: the answer, then each frame.</summary>
/// <remarks>Thread-safe.</remarks>
internal sealed class ViewLease
{
    private readonly SharedMemory _memory;

    /// <summary>Who made it has the first hold.</summary>
    private int _holds = 1;

    /// <summary>Notes a lease that the core has given.</summary>
    public ViewLease(SharedMemory memory, ulong id)
    {
        (_memory, Id) = (memory, id);
        memory.Begin(this);
    }

    /// <summary>The core's number of it.</summary>
    public ulong Id { get; }

    /// <summary>One holder more.</summary>
    public void Hold() => Interlocked.Increment(ref _holds);

    /// <summary>One holder less; the last one ends it.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _holds) == 0)
            _memory.End(this);
    }
}

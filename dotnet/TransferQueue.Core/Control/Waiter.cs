namespace TransferQueue.Control;

/// <summary>A fetch that found too few rows and waits for more. Writer thread only.</summary>
/// <param name="query">What it wants.</param>
/// <param name="deadline">When it gives up, on the clock of <see cref="WaiterQueue"/>'s caller.</param>
/// <param name="owner">Whom the answer is for; Control doesn't look inside.</param>
internal sealed class Waiter(FetchQuery query, long deadline, object? owner)
{
    /// <summary>What it wants.</summary>
    public FetchQuery Query { get; } = query;

    /// <summary>Milliseconds on the caller's clock.</summary>
    public long Deadline { get; } = deadline;

    /// <summary>Whom the answer is for.</summary>
    public object? Owner { get; } = owner;

    /// <summary>Where it stands in the queue; null when it is not in one.</summary>
    internal LinkedListNode<Waiter>? Node { get; set; }
}

namespace TransferQueue.Control;

/// <summary>A fetch that found too few rows and waits for more. Writer thread only.</summary>
/// <param name="query">What it wants.</param>
/// <param name="deadline">When it gives up, on the clock of <see cref="WaiterQueue"/>'s caller.</param>
/// <param name="owner">Whom the answer is for; Control doesn't look inside.</param>
/// <param name="waits">False: an empty batch is the answer as soon as it is known that there is none.</param>
internal sealed class Waiter(FetchQuery query, long deadline, object? owner, bool waits = true)
{
    /// <summary>A value of <see cref="AskedAt"/>: the sampler was not asked yet.</summary>
    internal const long NeverAsked = -1;

    /// <summary>A value of <see cref="AskedAt"/>: it has a batch, which is not ready; any change may make it so.</summary>
    internal const long AskAgain = -2;

    /// <summary>What it wants.</summary>
    public FetchQuery Query { get; } = query;

    /// <summary>Milliseconds on the caller's clock.</summary>
    public long Deadline { get; } = deadline;

    /// <summary>Whom the answer is for.</summary>
    public object? Owner { get; } = owner;

    /// <summary>Whether it waits for rows, or only for a sampler of another process.</summary>
    public bool Waits { get; } = waits;

    /// <summary>Whether it stands in line to be asked about.</summary>
    internal bool IsQueued { get; set; }

    /// <summary>How many batches there had been when the sampler was asked last; <see cref="NeverAsked"/>; <see cref="AskAgain"/>.</summary>
    internal long AskedAt { get; set; } = NeverAsked;

    /// <summary>Where it stands in the queue; null when it is not in one.</summary>
    internal LinkedListNode<Waiter>? Node { get; set; }
}

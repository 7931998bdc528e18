namespace TransferQueue.Sampling;

/// <summary>Which batch of which consumer: whoever asks with the same key gets the same rows.</summary>
/// <param name="Task">The consuming task.</param>
/// <param name="Rank">The data-parallel rank, ≥ 0.</param>
/// <param name="Index">The batch's number, chosen by the consumer.</param>
internal readonly record struct BatchKey(string Task, long Rank, long Index);

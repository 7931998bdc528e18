namespace TransferQueue.Control;

/// <summary>What a sampler of another process is to answer.</summary>
/// <param name="Query">What a fetch wants.</param>
/// <param name="Offered">The rows that it may pick from, ascending.</param>
internal sealed record SampleQuestion(FetchQuery Query, long[] Offered);

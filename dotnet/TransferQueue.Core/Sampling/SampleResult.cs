using System.Collections.Immutable;

namespace TransferQueue.Sampling;

/// <summary>What a sampler answers.</summary>
/// <param name="Sampled">Global indexes of the batch's rows, in its order.</param>
/// <param name="Consumed">Those that the task does not get again; with replacement fewer than were sampled.</param>
/// <param name="State">To be kept for the partition and given to the next call; dropped with the partition.</param>
internal readonly record struct SampleResult(ImmutableArray<long> Sampled, ImmutableArray<long> Consumed, ReadOnlyMemory<byte> State);

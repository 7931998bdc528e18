using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>What METRICS's reply tells of the requests of one type, from their header's arrival to their answer.</summary>
/// <param name="Type">The requests' <see cref="MessageType"/>.</param>
/// <param name="Count">Answers, errors included.</param>
/// <param name="Errors">Answers that are errors.</param>
/// <param name="Rows">Rows that they put, got or fetched.</param>
/// <param name="Microseconds">Time that they took, waiting included, in all.</param>
/// <param name="Buckets">How many took up to each of <see cref="BoundsMicroseconds"/>, and more than the one before; the last: more than all.</param>
internal sealed record OperationMetrics(int Type, long Count, long Errors, long Rows, long Microseconds, ImmutableArray<long> Buckets)
{
    /// <summary>Upper bounds of the buckets, ascending; there is one bucket more.</summary>
    internal static readonly ImmutableArray<long> BoundsMicroseconds = [1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];
}

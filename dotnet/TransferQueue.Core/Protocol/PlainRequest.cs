namespace TransferQueue.Protocol;

/// <summary>A request that has said everything with its type: its header is empty.</summary>
internal sealed record PlainRequest : Request
{
    private static readonly HeaderKeys Keys = new();

    private PlainRequest(MessageType type) => Type = type;

    /// <summary>PING: nothing but an answer.</summary>
    internal static PlainRequest Ping { get; } = new(MessageType.Ping);

    /// <summary>PARTITIONS: the names of all partitions.</summary>
    internal static PlainRequest Partitions { get; } = new(MessageType.Partitions);

    /// <summary>STATS: the core's counters.</summary>
    internal static PlainRequest Stats { get; } = new(MessageType.Stats);

    /// <summary>METRICS: what monitoring shows of the core.</summary>
    internal static PlainRequest Metrics { get; } = new(MessageType.Metrics);

    /// <inheritdoc/>
    internal override MessageType Type { get; }

    /// <summary>Reads the header.</summary>
    /// <param name="request">The one of this type.</param>
    /// <param name="reader">Of its header.</param>
    internal static PlainRequest Read(PlainRequest request, ref HeaderReader reader)
    {
        reader.Next(Keys);
        return request;
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
    }
}

namespace TransferQueue.Protocol;

/// <summary>METRICS: what monitoring shows of the core.</summary>
internal sealed record MetricsRequest : Request
{
    private static readonly HeaderKeys Keys = new();

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Metrics;

    /// <summary>Reads the header.</summary>
    internal static MetricsRequest Read(ref HeaderReader reader)
    {
        reader.Next(Keys);
        return new MetricsRequest();
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
    }
}

namespace TransferQueue.Protocol;

/// <summary>STATS: the core's counters.</summary>
internal sealed record StatsRequest : Request
{
    private static readonly HeaderKeys Keys = new();

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Stats;

    /// <summary>Reads the header.</summary>
    internal static StatsRequest Read(ref HeaderReader reader)
    {
        reader.Next(Keys);
        return new StatsRequest();
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
    }
}

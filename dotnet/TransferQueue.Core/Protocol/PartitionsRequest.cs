namespace TransferQueue.Protocol;

/// <summary>PARTITIONS: the names of all partitions.</summary>
internal sealed record PartitionsRequest : Request
{
    private static readonly HeaderKeys Keys = new();

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Partitions;

    /// <summary>Reads the header.</summary>
    internal static PartitionsRequest Read(ref HeaderReader reader)
    {
        reader.Next(Keys);
        return new PartitionsRequest();
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
    }
}

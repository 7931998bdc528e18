namespace TransferQueue.Protocol;

/// <summary>CLEAR_PARTITION: drops a partition and all its rows.</summary>
/// <param name="Partition">Which.</param>
internal sealed record ClearPartitionRequest(string Partition) : Request
{
    private static readonly HeaderKeys Keys = new("partition");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.ClearPartition;

    /// <summary>Reads the header.</summary>
    internal static ClearPartitionRequest Read(ref HeaderReader reader)
    {
        string? partition = null;
        while (reader.Next(Keys) is not null)
            partition = reader.Name();
        return new ClearPartitionRequest(reader.Required(partition, "partition"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("partition", Partition);
}

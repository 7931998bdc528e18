using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>TAGS, RETRIEVE_KEYS: asks for the tags, or the keys, of some rows of a partition.</summary>
/// <param name="Type">Which of the two.</param>
/// <param name="Partition">Whose rows.</param>
/// <param name="Indexes">Global indexes.</param>
internal sealed record PartitionRowsRequest(MessageType Type, string Partition, ImmutableArray<long> Indexes) : Request
{
    private static readonly HeaderKeys Keys = new("partition", "indexes");

    /// <inheritdoc/>
    internal override MessageType Type { get; } = Type;

    /// <summary>Reads the header.</summary>
    internal static PartitionRowsRequest Read(MessageType type, ref HeaderReader reader)
    {
        string? partition = null;
        ImmutableArray<long> indexes = default;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "partition")
                partition = reader.Name();
            else
                indexes = reader.Indexes();
        }
        return new PartitionRowsRequest(type, reader.Required(partition, "partition"), reader.Required(indexes, "indexes"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Numbers("indexes", Indexes);
    }
}

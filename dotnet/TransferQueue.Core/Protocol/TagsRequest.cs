using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>TAGS: the tags of some rows.</summary>
/// <param name="Partition">Whose rows.</param>
/// <param name="Indexes">Global indexes.</param>
internal sealed record TagsRequest(string Partition, ImmutableArray<long> Indexes) : Request
{
    private static readonly HeaderKeys Keys = new("partition", "indexes");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Tags;

    /// <summary>Reads the header.</summary>
    internal static TagsRequest Read(ref HeaderReader reader)
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
        return new TagsRequest(reader.Required(partition, "partition"), reader.Required(indexes, "indexes"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Numbers("indexes", Indexes);
    }
}

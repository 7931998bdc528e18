using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>LIST: keys and tags.</summary>
/// <param name="Partition">Of which partition; null: of all.</param>
/// <param name="Since">Partition → the version that the client has; null: none.</param>
internal sealed record ListRequest(string? Partition, ImmutableSortedDictionary<string, long>? Since) : Request
{
    private static readonly HeaderKeys Keys = new("partition", "since");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.List;

    /// <summary>Reads the header.</summary>
    internal static ListRequest Read(ref HeaderReader reader)
    {
        string? partition = null;
        ImmutableSortedDictionary<string, long>? since = null;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "partition")
                partition = reader.Name();
            else
                since = Counters.Read(reader.Map());
        }
        return new ListRequest(partition, since);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        if (Since is not null)
            writer.Entry("since", Since);
    }
}

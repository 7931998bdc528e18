using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>RETRIEVE_META: the batch of some keys.</summary>
/// <param name="Partition">Whose keys.</param>
/// <param name="Keys">In the order wanted.</param>
/// <param name="Create">Whether unknown keys get rows; else they are an error.</param>
internal sealed record RetrieveMetaRequest(string Partition, ImmutableArray<string> Keys, bool Create) : Request
{
    private static readonly HeaderKeys Known = new("partition", "keys", "create");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.RetrieveMeta;

    /// <summary>Reads the header.</summary>
    internal static RetrieveMetaRequest Read(ref HeaderReader reader)
    {
        string? partition = null;
        ImmutableArray<string> keys = default;
        bool? create = null;
        while (reader.Next(Known) is { } key)
        {
            if (key == "partition")
                partition = reader.Name();
            else if (key == "keys")
                keys = reader.Keys();
            else
                create = reader.Boolean();
        }
        return new RetrieveMetaRequest(reader.Required(partition, "partition"), reader.Required(keys, "keys"), reader.Required(create, "create"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Keys("keys", Keys);
        writer.Entry("create", Create);
    }
}

using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>CLEAR_KEYS: drops rows by key; unknown ones are ignored.</summary>
/// <param name="Partition">Whose keys.</param>
/// <param name="Keys">Which.</param>
internal sealed record ClearKeysRequest(string Partition, ImmutableArray<string> Keys) : Request
{
    private static readonly HeaderKeys Known = new("partition", "keys");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.ClearKeys;

    /// <summary>Reads the header.</summary>
    internal static ClearKeysRequest Read(ref HeaderReader reader)
    {
        string? partition = null;
        ImmutableArray<string> keys = default;
        while (reader.Next(Known) is { } key)
        {
            if (key == "partition")
                partition = reader.Name();
            else
                keys = reader.Keys();
        }
        return new ClearKeysRequest(reader.Required(partition, "partition"), reader.Required(keys, "keys"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Keys("keys", Keys);
    }
}

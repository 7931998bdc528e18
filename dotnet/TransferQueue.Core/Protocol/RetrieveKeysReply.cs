using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace TransferQueue.Protocol;

/// <summary>The reply to RETRIEVE_KEYS.</summary>
/// <param name="Found">Whether there is such a partition.</param>
/// <param name="RowKeys">One per index asked for; null for a row without a key, or no row.</param>
internal sealed record RetrieveKeysReply(bool Found, ImmutableArray<string?> RowKeys) : Reply
{
    private static readonly HeaderKeys Known = new("found", "keys");

    /// <summary>Reads the header.</summary>
    internal static RetrieveKeysReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to RETRIEVE_KEYS", header, ProtocolLimits.Default);
        bool? found = null;
        ImmutableArray<string?> keys = default;
        while (reader.Next(Known) is { } key)
        {
            if (key == "found")
                found = reader.Boolean();
            else
                keys = ReadKeys(ref reader);
        }
        return new RetrieveKeysReply(reader.Required(found, "found"), reader.Required(keys, "keys"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("found", Found);
        writer.Entry("keys", RowKeys.AsSpan());
    }

    private static ImmutableArray<string?> ReadKeys(ref HeaderReader reader)
    {
        var keys = new string?[reader.List(reader.Limits.Rows)];
        for (int i = 0; i < keys.Length; i++)
            keys[i] = reader.Nil() ? null : reader.Text(reader.Limits.KeyBytes);
        return ImmutableCollectionsMarshal.AsImmutableArray(keys);
    }
}

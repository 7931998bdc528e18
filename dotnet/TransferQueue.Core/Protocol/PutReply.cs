using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to PUT: what its want asked for.</summary>
/// <param name="Tags">kv: the rows' merged tags, back to back.</param>
/// <param name="Fields">kv: the fields that all rows have now, sorted; else default.</param>
/// <param name="Meta">meta: the packed batch (docs/wire.md, section 4).</param>
internal sealed record PutReply(ReadOnlyMemory<byte>? Tags, ImmutableArray<string> Fields, ReadOnlyMemory<byte>? Meta) : Reply
{
    private static readonly HeaderKeys Keys = new("tags", "fields", "meta");

    /// <summary>The reply for want "none".</summary>
    internal static PutReply None { get; } = new(null, default, null);

    /// <summary>The reply for want "kv".</summary>
    internal static PutReply Kv(ReadOnlyMemory<byte> tags, ImmutableArray<string> fields) => new(tags, fields, null);

    /// <summary>The reply for want "meta".</summary>
    internal static PutReply Batch(ReadOnlyMemory<byte> meta) => new(null, default, meta);

    /// <summary>Reads the header.</summary>
    internal static PutReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to PUT", header, ProtocolLimits.Default);
        ReadOnlyMemory<byte>? tags = null, meta = null;
        ImmutableArray<string> fields = default;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "tags")
                tags = reader.Binary();
            else if (key == "fields")
                fields = reader.Names();
            else
                meta = reader.Binary();
        }
        return new PutReply(tags, fields, meta);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("tags", Tags);
        writer.Entry("fields", Fields);
        writer.Entry("meta", Meta);
    }
}

namespace TransferQueue.Protocol;

/// <summary>The reply to TAGS.</summary>
/// <param name="Tags">One packed map per index asked for, back to back; an empty one for a row without a tag, or no row.</param>
internal sealed record TagsReply(ReadOnlyMemory<byte> Tags) : Reply
{
    private static readonly HeaderKeys Known = new("tags");

    /// <summary>Reads the header.</summary>
    internal static TagsReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to TAGS", header, ProtocolLimits.Default);
        ReadOnlyMemory<byte>? tags = null;
        while (reader.Next(Known) is not null)
            tags = reader.Binary();
        return new TagsReply(reader.Required(tags, "tags"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("tags", Tags);
}

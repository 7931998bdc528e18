namespace TransferQueue.Protocol;

/// <summary>The reply to META and RETRIEVE_META: a batch.</summary>
/// <param name="Meta">Packed (docs/wire.md, section 4).</param>
internal sealed record MetaReply(ReadOnlyMemory<byte> Meta) : Reply
{
    private static readonly HeaderKeys Keys = new("meta");

    /// <summary>Reads the header.</summary>
    internal static MetaReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to META", header, ProtocolLimits.Default);
        ReadOnlyMemory<byte>? meta = null;
        while (reader.Next(Keys) is not null)
            meta = reader.Binary();
        return new MetaReply(reader.Required(meta, "meta"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("meta", Meta);
}

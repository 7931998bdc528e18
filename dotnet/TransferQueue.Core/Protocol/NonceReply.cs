namespace TransferQueue.Protocol;

/// <summary>The first reply to HELLO over TCP: what AUTH must prove the token over.</summary>
/// <param name="Nonce">32 random bytes.</param>
internal sealed record NonceReply(ReadOnlyMemory<byte> Nonce) : Reply
{
    /// <summary>Bytes of a nonce.</summary>
    internal const int NonceBytes = 32;

    private static readonly HeaderKeys Keys = new("nonce");

    /// <summary>Reads the header.</summary>
    internal static NonceReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to HELLO", header, ProtocolLimits.Default);
        ReadOnlyMemory<byte>? nonce = null;
        while (reader.Next(Keys) is not null)
            nonce = reader.Binary(NonceBytes);
        return new NonceReply(reader.Required(nonce, "nonce"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("nonce", Nonce);
}

namespace TransferQueue.Protocol;

/// <summary>AUTH: a client's proof, over TCP, that it has the job's token.</summary>
/// <param name="Client">As in HELLO: 16 bytes.</param>
/// <param name="Nonce">As in the reply to HELLO: 32 bytes.</param>
/// <param name="Mac">HMAC-SHA256 over both, under the token: 32 bytes.</param>
internal sealed record AuthRequest(ReadOnlyMemory<byte> Client, ReadOnlyMemory<byte> Nonce, ReadOnlyMemory<byte> Mac) : Request
{
    /// <summary>Bytes of an HMAC-SHA256.</summary>
    internal const int MacBytes = 32;

    private static readonly HeaderKeys Keys = new("client", "nonce", "mac");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Auth;

    /// <summary>Reads the header.</summary>
    internal static AuthRequest Read(ref HeaderReader reader)
    {
        ReadOnlyMemory<byte>? client = null, nonce = null, mac = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "client":
                    client = reader.Binary(HelloRequest.ClientBytes);
                    break;
                case "nonce":
                    nonce = reader.Binary(NonceReply.NonceBytes);
                    break;
                default:
                    mac = reader.Binary(MacBytes);
                    break;
            }
        }
        return new AuthRequest(reader.Required(client, "client"), reader.Required(nonce, "nonce"), reader.Required(mac, "mac"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("client", Client);
        writer.Entry("nonce", Nonce);
        writer.Entry("mac", Mac);
    }
}

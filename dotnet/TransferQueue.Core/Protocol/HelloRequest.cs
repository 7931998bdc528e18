namespace TransferQueue.Protocol;

/// <summary>HELLO: who a client is.</summary>
/// <param name="Client">16 random bytes that name the client over all its connections.</param>
/// <param name="ProcessId">Its process.</param>
/// <param name="Package">The version of its package.</param>
/// <param name="TokenProof">A proof that it has the job's token, or null.</param>
internal sealed record HelloRequest(ReadOnlyMemory<byte> Client, int ProcessId, string Package, ReadOnlyMemory<byte>? TokenProof) : Request
{
    /// <summary>Bytes of a client's name.</summary>
    internal const int ClientBytes = 16;

    private static readonly HeaderKeys Keys = new("client", "pid", "package", "token_proof");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Hello;

    /// <summary>Reads the header.</summary>
    internal static HelloRequest Read(ref HeaderReader reader)
    {
        ReadOnlyMemory<byte>? client = null, proof = null;
        int? pid = null;
        string? package = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "client":
                    client = reader.Binary(ClientBytes);
                    break;
                case "pid":
                    pid = reader.Integer32();
                    break;
                case "package":
                    package = reader.Name();
                    break;
                default:
                    proof = reader.Binary();
                    break;
            }
        }
        return new HelloRequest(reader.Required(client, "client"), reader.Required(pid, "pid"), reader.Required(package, "package"), proof);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("client", Client);
        writer.Entry("pid", ProcessId);
        writer.Entry("package", Package);
        writer.Entry("token_proof", TokenProof);
    }
}

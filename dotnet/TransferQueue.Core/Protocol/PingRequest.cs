namespace TransferQueue.Protocol;

/// <summary>PING: nothing but an answer.</summary>
internal sealed record PingRequest : Request
{
    private static readonly HeaderKeys Keys = new();
    private static readonly PingRequest Instance = new();

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Ping;

    /// <summary>Reads the header.</summary>
    internal static PingRequest Read(ref HeaderReader reader)
    {
        reader.Next(Keys);
        return Instance;
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
    }
}

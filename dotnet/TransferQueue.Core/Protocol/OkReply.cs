namespace TransferQueue.Protocol;

/// <summary>The reply without anything in it: to PING, SET_TAGS, RELEASE and PIN.</summary>
internal sealed record OkReply : Reply
{
    private static readonly HeaderKeys Keys = new();

    /// <summary>It.</summary>
    internal static OkReply Instance { get; } = new();

    /// <summary>Reads the header.</summary>
    internal static OkReply Read(ReadOnlyMemory<byte> header)
    {
        new HeaderReader("reply", header, ProtocolLimits.Default).Next(Keys);
        return new OkReply();
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
    }
}

namespace TransferQueue.Protocol;

/// <summary>The reply to PRODUCTION_STATUS and CONSUMPTION_STATUS with `check`.</summary>
/// <param name="All">Whether the partition has rows and all of them are there in all fields, or consumed.</param>
internal sealed record CheckReply(bool All) : Reply
{
    private static readonly HeaderKeys Keys = new("all");

    /// <summary>Reads the header.</summary>
    internal static CheckReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to STATUS", header, ProtocolLimits.Default);
        bool? all = null;
        while (reader.Next(Keys) is not null)
            all = reader.Boolean();
        return new CheckReply(reader.Required(all, "all"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("all", All);
}

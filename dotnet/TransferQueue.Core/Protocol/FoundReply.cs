namespace TransferQueue.Protocol;

/// <summary>The reply to CLEAR_PARTITION and RESET_CONSUMPTION.</summary>
/// <param name="Found">Whether there was such a partition.</param>
internal sealed record FoundReply(bool Found) : Reply
{
    private static readonly HeaderKeys Keys = new("found");

    /// <summary>Reads the header.</summary>
    internal static FoundReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply", header, ProtocolLimits.Default);
        bool? found = null;
        while (reader.Next(Keys) is not null)
            found = reader.Boolean();
        return new FoundReply(reader.Required(found, "found"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("found", Found);
}

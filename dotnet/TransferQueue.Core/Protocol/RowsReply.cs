namespace TransferQueue.Protocol;

/// <summary>The reply to CLEAR_KEYS and CLEAR_ROWS.</summary>
/// <param name="Rows">How many rows were dropped.</param>
internal sealed record RowsReply(long Rows) : Reply
{
    private static readonly HeaderKeys Keys = new("rows");

    /// <summary>Reads the header.</summary>
    internal static RowsReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to CLEAR", header, ProtocolLimits.Default);
        long? rows = null;
        while (reader.Next(Keys) is not null)
            rows = reader.Integer(0);
        return new RowsReply(reader.Required(rows, "rows"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("rows", Rows);
}

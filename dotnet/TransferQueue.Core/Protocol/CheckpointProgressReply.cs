namespace TransferQueue.Protocol;

/// <summary>The reply to CHECKPOINT_PROGRESS; work that failed answers with its error.</summary>
/// <param name="Done">Whether it has ended, and well.</param>
/// <param name="Bytes">Bytes that were written or read so far.</param>
/// <param name="Total">Bytes that it will be, as far as is known; 0: not known yet.</param>
/// <param name="Note">What the caller should know of the result; null: nothing.</param>
internal sealed record CheckpointProgressReply(bool Done, long Bytes, long Total, string? Note) : Reply
{
    private static readonly HeaderKeys Keys = new("done", "bytes", "total", "note");

    /// <summary>Reads the header.</summary>
    internal static CheckpointProgressReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to CHECKPOINT_PROGRESS", header, ProtocolLimits.Default);
        bool? done = null;
        long? bytes = null, total = null;
        string? note = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "done":
                    done = reader.Boolean();
                    break;
                case "bytes":
                    bytes = reader.Integer(0);
                    break;
                case "total":
                    total = reader.Integer(0);
                    break;
                default:
                    note = reader.Text(long.MaxValue);
                    break;
            }
        }
        return new CheckpointProgressReply(reader.Required(done, "done"), reader.Required(bytes, "bytes"), reader.Required(total, "total"), note);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("done", Done);
        writer.Entry("bytes", Bytes);
        writer.Entry("total", Total);
        writer.Entry("note", Note);
    }
}

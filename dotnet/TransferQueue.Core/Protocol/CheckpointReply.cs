namespace TransferQueue.Protocol;

/// <summary>The reply to CHECKPOINT: the work has its turn; CHECKPOINT_PROGRESS tells of its end.</summary>
/// <param name="Job">The work's number.</param>
internal sealed record CheckpointReply(long Job) : Reply
{
    private static readonly HeaderKeys Keys = new("job");

    /// <summary>Reads the header.</summary>
    internal static CheckpointReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to CHECKPOINT", header, ProtocolLimits.Default);
        long? job = null;
        while (reader.Next(Keys) is not null)
            job = reader.Integer(0);
        return new CheckpointReply(reader.Required(job, "job"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("job", Job);
}

namespace TransferQueue.Protocol;

/// <summary>CHECKPOINT_PROGRESS: asks how far the work on a checkpoint is.</summary>
/// <param name="Job">Which work.</param>
/// <param name="Cancel">Whether it shall end soon, without effect; what is done already stays.</param>
internal sealed record CheckpointProgressRequest(long Job, bool Cancel) : Request
{
    private static readonly HeaderKeys Keys = new("job", "cancel");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.CheckpointProgress;

    /// <summary>Reads the header.</summary>
    internal static CheckpointProgressRequest Read(ref HeaderReader reader)
    {
        long? job = null;
        bool cancel = false;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "job")
                job = reader.Integer(0);
            else
                cancel = reader.Boolean();
        }
        return new CheckpointProgressRequest(reader.Required(job, "job"), cancel);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("job", Job);
        if (Cancel)
            writer.Entry("cancel", Cancel);
    }
}

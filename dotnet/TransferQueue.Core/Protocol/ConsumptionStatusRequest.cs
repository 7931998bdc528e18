namespace TransferQueue.Protocol;

/// <summary>CONSUMPTION_STATUS: which rows of a partition a task has consumed.</summary>
/// <param name="Partition">Which.</param>
/// <param name="Task">Whose marks.</param>
internal sealed record ConsumptionStatusRequest(string Partition, string Task) : Request
{
    private static readonly HeaderKeys Keys = new("partition", "task");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.ConsumptionStatus;

    /// <summary>Reads the header.</summary>
    internal static ConsumptionStatusRequest Read(ref HeaderReader reader)
    {
        string? partition = null, task = null;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "partition")
                partition = reader.Name();
            else
                task = reader.Name();
        }
        return new ConsumptionStatusRequest(reader.Required(partition, "partition"), reader.Required(task, "task"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Entry("task", Task);
    }
}

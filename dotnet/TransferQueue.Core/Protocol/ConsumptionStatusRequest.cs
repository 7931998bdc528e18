namespace TransferQueue.Protocol;

/// <summary>CONSUMPTION_STATUS: which rows of a partition a task has consumed.</summary>
/// <param name="Partition">Which.</param>
/// <param name="Task">Whose marks.</param>
/// <param name="Check">Whether one bit answers: all of them.</param>
internal sealed record ConsumptionStatusRequest(string Partition, string Task, bool Check = false) : Request
{
    private static readonly HeaderKeys Keys = new("partition", "task", "check");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.ConsumptionStatus;

    /// <summary>Reads the header.</summary>
    internal static ConsumptionStatusRequest Read(ref HeaderReader reader)
    {
        string? partition = null, task = null;
        bool check = false;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "partition")
                partition = reader.Name();
            else if (key == "task")
                task = reader.Name();
            else
                check = reader.Boolean();
        }
        return new ConsumptionStatusRequest(reader.Required(partition, "partition"), reader.Required(task, "task"), check);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Entry("task", Task);
        if (Check)
            writer.Entry("check", true);
    }
}

namespace TransferQueue.Protocol;

/// <summary>RESET_CONSUMPTION: makes consumed rows fetchable again.</summary>
/// <param name="Partition">Whose rows.</param>
/// <param name="Task">Whose marks; null: every task's.</param>
internal sealed record ResetConsumptionRequest(string Partition, string? Task) : Request
{
    private static readonly HeaderKeys Keys = new("partition", "task");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.ResetConsumption;

    /// <summary>Reads the header.</summary>
    internal static ResetConsumptionRequest Read(ref HeaderReader reader)
    {
        string? partition = null, task = null;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "partition")
                partition = reader.Name();
            else
                task = reader.Name();
        }
        return new ResetConsumptionRequest(reader.Required(partition, "partition"), task);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Entry("task", Task);
    }
}

using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>PRODUCTION_STATUS: which cells of a partition are there.</summary>
/// <param name="Partition">Which.</param>
/// <param name="Fields">Which columns; the reply keeps their order.</param>
/// <param name="Check">Whether one bit answers: all of them.</param>
internal sealed record ProductionStatusRequest(string Partition, ImmutableArray<string> Fields, bool Check = false) : Request
{
    private static readonly HeaderKeys Keys = new("partition", "fields", "check");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.ProductionStatus;

    /// <summary>Reads the header.</summary>
    internal static ProductionStatusRequest Read(ref HeaderReader reader)
    {
        string? partition = null;
        ImmutableArray<string> fields = default;
        bool check = false;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "partition")
                partition = reader.Name();
            else if (key == "fields")
                fields = reader.Names();
            else
                check = reader.Boolean();
        }
        return new ProductionStatusRequest(reader.Required(partition, "partition"), reader.Required(fields, "fields"), check);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Entry("fields", Fields);
        if (Check)
            writer.Entry("check", true);
    }
}

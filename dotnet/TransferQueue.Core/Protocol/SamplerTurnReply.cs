using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to SAMPLER_TURN: a question, or a partition to forget.</summary>
/// <param name="Number">The question's number, &gt; 0.</param>
/// <param name="Partition">Whose rows.</param>
/// <param name="Task">The consuming task; null: the partition was cleared, forget it.</param>
/// <param name="BatchSize">Rows wanted.</param>
/// <param name="Ready">Global indexes of the rows to pick from, ascending.</param>
/// <param name="Sampling">What the caller says to the sampler: one packed map, or null.</param>
internal sealed record SamplerTurnReply(
    long Number, string Partition, string? Task, long BatchSize, ImmutableArray<long> Ready, ReadOnlyMemory<byte>? Sampling) : Reply
{
    private static readonly HeaderKeys Keys = new("number", "partition", "task", "batch_size", "ready", "sampling");

    /// <summary>Reads the header.</summary>
    internal static SamplerTurnReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to SAMPLER_TURN", header, ProtocolLimits.Default);
        long? number = null, batchSize = null;
        string? partition = null, task = null;
        ImmutableArray<long> ready = default;
        ReadOnlyMemory<byte>? sampling = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "number":
                    number = reader.Integer(0);
                    break;
                case "partition":
                    partition = reader.Name();
                    break;
                case "task":
                    task = reader.Name();
                    break;
                case "batch_size":
                    batchSize = reader.Integer(0);
                    break;
                case "ready":
                    ready = reader.Indexes();
                    break;
                default:
                    sampling = reader.Binary();
                    break;
            }
        }
        return new SamplerTurnReply(
            reader.Required(number, "number"), reader.Required(partition, "partition"), task,
            reader.Required(batchSize, "batch_size"), reader.Required(ready, "ready"), sampling);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("number", Number);
        writer.Entry("partition", Partition);
        writer.Entry("task", Task);
        writer.Entry("batch_size", BatchSize);
        writer.Numbers("ready", Ready);
        writer.Entry("sampling", Sampling);
    }
}

using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to SAMPLER_TURN: a question, a partition to forget, or the wish to save or load what the sampler remembers.</summary>
/// <param name="Number">The question's number, &gt; 0.</param>
/// <param name="Partition">Whose rows; empty: no partition is meant.</param>
/// <param name="Task">The consuming task; null: the partition was cleared, forget it.</param>
/// <param name="BatchSize">Rows wanted.</param>
/// <param name="Ready">Global indexes of the rows to pick from, ascending.</param>
/// <param name="Sampling">What the caller says to the sampler: one packed map, or null.</param>
internal sealed record SamplerTurnReply(
    long Number, string Partition, string? Task, long BatchSize, ImmutableArray<long> Ready, ReadOnlyMemory<byte>? Sampling) : Reply
{
    /// <summary>An <see cref="Action"/>: tell what you remember.</summary>
    internal const string Save = "save";

    /// <summary>An <see cref="Action"/>: from now on remember <see cref="State"/>.</summary>
    internal const string Load = "load";

    private static readonly HeaderKeys Keys = new("number", "partition", "task", "batch_size", "ready", "sampling", "action", "state");

    /// <summary>What else than rows is asked for; null: nothing.</summary>
    public string? Action { get; init; }

    /// <summary>What to remember, as the sampler's process packed it.</summary>
    public ReadOnlyMemory<byte>? State { get; init; }

    /// <summary>Reads the header.</summary>
    internal static SamplerTurnReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to SAMPLER_TURN", header, ProtocolLimits.Default);
        long? number = null, batchSize = null;
        string? partition = null, task = null, action = null;
        ImmutableArray<long> ready = default;
        ReadOnlyMemory<byte>? sampling = null, state = null;
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
                case "sampling":
                    sampling = reader.Binary();
                    break;
                case "action":
                    action = reader.Name();
                    break;
                default:
                    state = reader.Binary();
                    break;
            }
        }
        return new SamplerTurnReply(
            reader.Required(number, "number"), partition ?? "", task,
            reader.Required(batchSize, "batch_size"), reader.Required(ready, "ready"), sampling)
        { Action = action, State = state };
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("number", Number);
        writer.Entry("partition", Partition.Length == 0 ? null : Partition);
        writer.Entry("task", Task);
        writer.Entry("batch_size", BatchSize);
        writer.Numbers("ready", Ready);
        writer.Entry("sampling", Sampling);
        writer.Entry("action", Action);
        writer.Entry("state", State);
    }
}

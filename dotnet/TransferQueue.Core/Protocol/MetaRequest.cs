using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>META: a batch to read (fetch, force_fetch) or to fill (insert).</summary>
/// <param name="Partition">Whose rows.</param>
/// <param name="Fields">The batch's fields; default, in a force_fetch: all that the partition has.</param>
/// <param name="BatchSize">Rows wanted, or null.</param>
/// <param name="Mode">What to do.</param>
/// <param name="Task">The consuming task, or null.</param>
/// <param name="Sampling">What the sampler is told: one packed map, or null.</param>
/// <param name="WaitMilliseconds">How long a fetch waits for rows, whatever the polling mode, within the request's timeout; null: the polling mode says.</param>
internal sealed record MetaRequest(
    string Partition, ImmutableArray<string> Fields, int? BatchSize, MetaMode Mode, string? Task, ReadOnlyMemory<byte>? Sampling,
    int? WaitMilliseconds = null) : Request
{
    private static readonly HeaderKeys Keys = new("partition", "fields", "batch_size", "mode", "task", "sampling", "wait_ms");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Meta;

    /// <summary>Reads the header.</summary>
    internal static MetaRequest Read(ref HeaderReader reader)
    {
        string? partition = null, task = null;
        ImmutableArray<string> fields = default;
        int? batchSize = null;
        MetaMode? mode = null;
        ReadOnlyMemory<byte>? sampling = null;
        int? wait = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "partition":
                    partition = reader.Name();
                    break;
                case "fields":
                    fields = reader.Names();
                    break;
                case "batch_size":
                    batchSize = reader.Rows();
                    break;
                case "mode":
                    mode = ReadMode(ref reader);
                    break;
                case "task":
                    task = reader.Name();
                    break;
                case "sampling":
                    sampling = ReadSampling(ref reader);
                    break;
                default:
                    wait = (int)reader.Integer(0, int.MaxValue);
                    break;
            }
        }
        if (mode != MetaMode.ForceFetch)
            fields = reader.Required(fields, "fields");
        return new MetaRequest(
            reader.Required(partition, "partition"), fields, batchSize, reader.Required(mode, "mode"), task, sampling, wait);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Entry("fields", Fields);
        if (BatchSize is { } rows)
            writer.Entry("batch_size", rows);
        writer.Entry("mode", Mode == MetaMode.ForceFetch ? "force_fetch" : Mode.ToString().ToLowerInvariant());
        writer.Entry("task", Task);
        writer.Entry("sampling", Sampling);
        if (WaitMilliseconds is { } wait)
            writer.Entry("wait_ms", wait);
    }

    private static MetaMode ReadMode(ref HeaderReader reader) => reader.Name() switch
    {
        "fetch" => MetaMode.Fetch,
        "insert" => MetaMode.Insert,
        "force_fetch" => MetaMode.ForceFetch,
        var other => throw reader.Broken($"'{other}'; there are fetch, insert, force_fetch"),
    };

    private static ReadOnlyMemory<byte> ReadSampling(ref HeaderReader reader)
    {
        var map = reader.Binary();
        return TagCodec.Measure(map.Span) == map.Length ? map : throw reader.Broken("bytes behind its map");
    }
}

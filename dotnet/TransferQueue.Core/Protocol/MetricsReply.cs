using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to METRICS.</summary>
/// <param name="UptimeMilliseconds">Since the core started.</param>
/// <param name="NextIndex">Global indexes that were ever given out: the smallest that was not.</param>
/// <param name="FreeIndexes">Of these, how many came back and can be given out again.</param>
/// <param name="StoredRows">Rows of all partitions that have a cell.</param>
/// <param name="RowCapacity">How many of them there may be; null: no limit.</param>
/// <param name="Operations">By type; those that were never asked for are left out.</param>
/// <param name="Partitions">In the order of their creation.</param>
internal sealed record MetricsReply(
    long UptimeMilliseconds,
    long NextIndex,
    long FreeIndexes,
    long StoredRows,
    long? RowCapacity,
    ImmutableArray<OperationMetrics> Operations,
    ImmutableArray<PartitionMetrics> Partitions) : Reply
{
    private static readonly HeaderKeys Keys = new("uptime_ms", "next_index", "free_indexes", "stored_rows", "row_capacity", "operations", "partitions");

    /// <summary>Reads the header.</summary>
    internal static MetricsReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to METRICS", header, ProtocolLimits.Default);
        long? uptime = null, next = null, free = null, stored = null, capacity = null;
        ImmutableArray<OperationMetrics> operations = default;
        ImmutableArray<PartitionMetrics> partitions = default;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "uptime_ms":
                    uptime = reader.Integer(0);
                    break;
                case "next_index":
                    next = reader.Integer(0);
                    break;
                case "free_indexes":
                    free = reader.Integer(0);
                    break;
                case "stored_rows":
                    stored = reader.Integer(0);
                    break;
                case "row_capacity":
                    capacity = reader.Integer(0);
                    break;
                case "operations":
                    operations = ReadOperations(ref reader);
                    break;
                default:
                    partitions = ReadPartitions(ref reader);
                    break;
            }
        }
        return new MetricsReply(
            reader.Required(uptime, "uptime_ms"), reader.Required(next, "next_index"), reader.Required(free, "free_indexes"),
            reader.Required(stored, "stored_rows"), capacity, reader.Required(operations, "operations"), reader.Required(partitions, "partitions"));
    }

    private static ImmutableArray<OperationMetrics> ReadOperations(ref HeaderReader reader)
    {
        int count = reader.List(ushort.MaxValue);
        var operations = ImmutableArray.CreateBuilder<OperationMetrics>();
        int buckets = OperationMetrics.BoundsMicroseconds.Length + 1;
        for (int i = 0; i < count; i++)
        {
            reader.Tuple(6);
            operations.Add(new OperationMetrics(
                (int)reader.Integer(0, ushort.MaxValue), reader.Integer(0), reader.Integer(0), reader.Integer(0), reader.Integer(0), reader.Numbers<long>(buckets)));
            if (operations[i].Buckets.Length != buckets)
                throw reader.Broken($"{operations[i].Buckets.Length} buckets; there are {buckets}");
        }
        return operations.ToImmutable();
    }

    private static ImmutableArray<PartitionMetrics> ReadPartitions(ref HeaderReader reader)
    {
        int count = reader.List(reader.Limits.Rows);
        var partitions = ImmutableArray.CreateBuilder<PartitionMetrics>();
        for (int i = 0; i < count; i++)
        {
            reader.Tuple(5);
            partitions.Add(new PartitionMetrics(
                reader.Name(), reader.Integer(0), reader.Integer(0), reader.Names(reader.Limits.Rows), Counters.Read(reader.Map())));
        }
        return partitions.ToImmutable();
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("uptime_ms", UptimeMilliseconds);
        writer.Entry("next_index", NextIndex);
        writer.Entry("free_indexes", FreeIndexes);
        writer.Entry("stored_rows", StoredRows);
        if (RowCapacity is { } capacity)
            writer.Entry("row_capacity", capacity);
        writer.Entry("operations", Operations);
        writer.Entry("partitions", Partitions);
    }
}

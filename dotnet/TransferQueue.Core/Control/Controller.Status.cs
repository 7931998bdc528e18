using System.Collections.Immutable;

namespace TransferQueue.Control;

/// <summary>A status of every row of a partition, in ascending order of their global indexes; valid until the controller is asked for the next one.</summary>
/// <param name="Indexes">int64[N].</param>
/// <param name="Status">int8[N × F], row-major: 1 yes, 0 no.</param>
internal sealed record RowStatus(ReadOnlyMemory<long> Indexes, ReadOnlyMemory<sbyte> Status);

internal sealed partial class Controller
{
    private readonly ReusedArray<int> _statusSlots = new();
    private readonly ReusedArray<long> _statusIndexes = new();
    private readonly ReusedArray<sbyte> _status = new();

    /// <summary>Which rows are ready in which field, fields in the order asked for; null: no such partition, or a field that it never had.</summary>
    public RowStatus? ProductionStatus(string name, ImmutableArray<string> fields)
    {
        if (Find(name) is not { } partition || fields.IsDefaultOrEmpty || fields.Any(field => partition.Field(field) is null))
            return null;
        ReadOnlySpan<int> slots = StatusSlots(partition);
        Memory<sbyte> status = _status.Take(checked(slots.Length * fields.Length));
        for (int f = 0; f < fields.Length && !slots.IsEmpty; f++)
            partition.Field(fields[f])!.Ready.CopyTo(slots, status.Span[f..], fields.Length);
        return Status(partition, slots, status);
    }

    /// <summary>Which rows a task has consumed; null: no such partition.</summary>
    public RowStatus? ConsumptionStatus(string name, string task)
    {
        if (Find(name) is not { } partition)
            return null;
        ReadOnlySpan<int> slots = StatusSlots(partition);
        Memory<sbyte> status = _status.Take(slots.Length);
        if (partition.Task(task) is { } asked)
            asked.Consumed.CopyTo(slots, status.Span);
        else
            status.Span.Clear();
        return Status(partition, slots, status);
    }

    /// <summary>Whether a partition has rows and all of them are ready in all fields: by the counters, without a look at a row.</summary>
    public bool IsProduced(string name, ImmutableArray<string> fields) =>
        Find(name) is { RowCount: > 0 } partition && !fields.IsDefaultOrEmpty
        && fields.All(field => partition.Field(field)?.ReadyCount == partition.RowCount);

    /// <summary>Whether a partition has rows and a task has consumed all of them: by the counters.</summary>
    public bool IsConsumed(string name, string task) =>
        Find(name) is { RowCount: > 0 } partition && partition.Task(task)?.ConsumedCount == partition.RowCount;

    /// <summary>The keys of rows, null where there is no such row or it has no key; null: no such partition.</summary>
    public string?[]? RetrieveKeys(string name, ImmutableArray<long> indexes)
    {
        if (Find(name) is not { } partition)
            return null;
        var keys = new string?[indexes.Length];
        for (int i = 0; i < keys.Length; i++)
            keys[i] = FindSlot(partition, indexes[i], 0) is var slot and >= 0 ? partition.Key(slot) : null;
        return keys;
    }

    /// <summary>The keys and tags of a partition, or of all.</summary>
    /// <param name="name">The partition, unknown ones give nothing; null: all.</param>
    /// <param name="since">Partition → the version that the caller has; where that is known, only the changes since are listed.</param>
    public PartitionListing[] List(string? name, IReadOnlyDictionary<string, long>? since = null)
    {
        IEnumerable<Partition> wanted = name is null ? _partitions.Values : Find(name) is { } one ? [one] : [];
        return [.. wanted.Select(partition => partition.List(since is not null && since.TryGetValue(partition.Name, out long version) ? version : null))];
    }

    private ReadOnlySpan<int> StatusSlots(Partition partition)
    {
        Span<int> slots = _statusSlots.Take(partition.RowCount).Span;
        partition.CopySlotsByIndex(slots);
        return slots;
    }

    private RowStatus Status(Partition partition, ReadOnlySpan<int> slots, Memory<sbyte> status)
    {
        Memory<long> indexes = _statusIndexes.Take(slots.Length);
        partition.CopyIndexes(slots, indexes.Span);
        return new RowStatus(indexes, status);
    }
}

using System.Collections.Immutable;
using System.Runtime.InteropServices;
using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>Rows that a clear will remove.</summary>
/// <param name="Partition">Their partition.</param>
/// <param name="Runs">Their slots, ascending, disjoint.</param>
internal sealed record ClearPlan(Partition Partition, List<SlotRun> Runs)
{
    /// <summary>Rows.</summary>
    public int Count => Runs.Sum(run => run.Count);
}

internal sealed partial class Controller
{
    /// <summary>The rows of those keys that there are; unknown keys and partitions are left out.</summary>
    public ClearPlan? PlanClearKeys(string name, ImmutableArray<string> keys) =>
        Find(name) is { } partition ? PlanClear(partition, partition.SlotsOf(keys)) : null;

    /// <summary>The rows of those indexes that there are in the generation asked for; others, cleared before, are left out.</summary>
    public List<ClearPlan> PlanClearRows(RowSelection rows)
    {
        Dictionary<Partition, List<int>> slots = [];
        int row = 0;
        foreach (PartitionRun part in rows.Parts)
        {
            if (Find(part.Partition) is { } partition)
            {
                if (!slots.TryGetValue(partition, out List<int>? own))
                    slots.Add(partition, own = []);
                for (int i = row; i < row + part.Count; i++)
                    own.Add(FindSlot(partition, rows.Indexes[i], rows.Generation(i)));
            }
            row += part.Count;
        }
        return [.. slots.Select(pair => PlanClear(pair.Key, CollectionsMarshal.AsSpan(pair.Value))).Where(plan => plan.Count > 0)];
    }

    /// <summary>Removes rows: their indexes go back to the pool in ascending order, their partitions stay.</summary>
    /// <returns>Rows removed.</returns>
    internal int CommitClear(IReadOnlyList<ClearPlan> plans, List<StoredColumn> released)
    {
        List<long> indexes = [];
        foreach (ClearPlan plan in plans)
            plan.Partition.RemoveRows(plan.Runs, indexes, released);
        _pool.Release(CollectionsMarshal.AsSpan(indexes));
        return indexes.Count;
    }

    /// <summary>Removes a partition with everything it has; it leaves the list of partitions.</summary>
    /// <returns>Whether there was one.</returns>
    internal bool CommitClearPartition(string name, List<StoredColumn> released)
    {
        if (Find(name) is not { } partition)
            return false;
        List<long> indexes = new(partition.RowCount);
        partition.RemoveAll(indexes, released);
        _pool.Release(CollectionsMarshal.AsSpan(indexes));
        _partitions.Remove(name);
        return true;
    }

    private static ClearPlan PlanClear(Partition partition, Span<int> slots)
    {
        slots.Sort();
        List<int> distinct = new(slots.Length);
        foreach (int slot in slots)
        {
            if (slot >= 0 && (distinct.Count == 0 || distinct[^1] != slot))
                distinct.Add(slot);
        }
        return new ClearPlan(partition, SlotRun.Of(CollectionsMarshal.AsSpan(distinct)));
    }
}

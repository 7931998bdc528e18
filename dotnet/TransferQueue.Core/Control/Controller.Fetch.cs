using System.Text;
using TransferQueue.Columns;

namespace TransferQueue.Control;

internal sealed partial class Controller
{
    /// <summary>Checks a query; changes nothing.</summary>
    /// <exception cref="InvalidArgumentException">No fields, no task name, or fewer than one row.</exception>
    public static void Check(FetchQuery query)
    {
        if (query.Fields.IsDefaultOrEmpty)
            throw new InvalidArgumentException($"partition '{query.Partition}': a fetch without fields; name at least one");
        if (query.BatchSize < 1)
            throw new InvalidArgumentException($"partition '{query.Partition}': a fetch of {query.BatchSize} rows; ask for at least 1");
    }

    /// <summary>Asks the sampler for rows; changes nothing. Null: too few are ready.</summary>
    public FetchPick? Pick(FetchQuery query)
    {
        if (Find(query.Partition) is not { } partition || !partition.HasEnough(query))
            return null;
        int[] slots = partition.TakeReady(query, query.BatchSize);
        if (slots.Length < query.BatchSize)
            return null;
        long[] indexes = Array.ConvertAll(slots, partition.Index);
        RowSelection consumed = new(
            [new PartitionRun(partition.Name, slots.Length)], [.. indexes], [.. indexes.Select(_pool.Generation)]);
        return new FetchPick([new FoundRows(partition, slots, 0)], consumed);
    }

    /// <summary>Checks that rows may be handed to a task; changes nothing.</summary>
    /// <param name="task">The task, for the error's text.</param>
    /// <param name="rows">The rows, which must all be there.</param>
    /// <exception cref="StaleBatchException">A row is not there any more.</exception>
    public PlannedRows[] PlanConsume(string task, RowSelection rows) => FindExactly(rows, missing => missing.Stale($"task '{task}': fetch"));

    /// <summary>Marks rows as handed to a task.</summary>
    internal FoundRows[] CommitConsume(string task, PlannedRows[] parts)
    {
        foreach (PlannedRows part in parts)
        {
            int[] sorted = [.. part.Slots];
            Array.Sort(sorted);
            part.Partition!.Consume(task, SlotRun.Of(sorted));
        }
        return [.. parts.Select(part => new FoundRows(part.Partition!, part.Slots, part.First))];
    }

    /// <summary>Forgets what a task, or with null every task, has consumed of a partition.</summary>
    /// <returns>Whether there is such a partition.</returns>
    internal bool CommitReset(string name, string? task)
    {
        if (Find(name) is not { } partition)
            return false;
        partition.ResetConsumption(task);
        return true;
    }

    /// <summary>What a fetch is told at its deadline: how many rows are ready, and which fields lack how many of them.</summary>
    public NotReadyException NotReady(FetchQuery query)
    {
        string head = $"partition '{query.Partition}', task '{query.Task}': ";
        if (Find(query.Partition) is not { } partition)
            return new NotReadyException($"{head}0 of {query.BatchSize} rows ready; there is no such partition yet");
        int ready = partition.CountReady(query);
        StringBuilder missing = new();
        foreach (string name in query.Fields)
        {
            int lacking = query.BatchSize - partition.CountReady(query with { Fields = [name] });
            if (lacking > 0)
                missing.Append(missing.Length == 0 ? "; missing: " : ", ").Append($"{name} ×{lacking}");
        }
        return new NotReadyException($"{head}{ready} of {query.BatchSize} rows ready{missing}");
    }
}

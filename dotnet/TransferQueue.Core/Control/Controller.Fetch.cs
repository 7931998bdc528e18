using System.Collections.Immutable;
using System.Text;
using TransferQueue.Columns;
using TransferQueue.Sampling;

namespace TransferQueue.Control;

internal sealed partial class Controller
{
    /// <summary>Checks a query; changes nothing.</summary>
    /// <exception cref="InvalidArgumentException">No fields, fewer than one row, or not what the sampler needs to be told.</exception>
    public void Check(FetchQuery query)
    {
        if (query.Fields.IsDefaultOrEmpty)
            throw new InvalidArgumentException($"partition '{query.Partition}': a fetch without fields; name at least one");
        if (query.BatchSize < 1)
            throw new InvalidArgumentException($"partition '{query.Partition}': a fetch of {query.BatchSize} rows; ask for at least 1");
        _sampler.Check(query.BatchSize, query.Sampling);
    }

    /// <summary>Asks the sampler for rows; changes nothing. Null: too few are ready, or there is no batch in them.</summary>
    /// <exception cref="InvalidArgumentException">The sampler can't make sense of what it is told.</exception>
    public FetchPick? Pick(FetchQuery query)
    {
        if (Find(query.Partition) is not { } partition)
            return null;
        ReadOnlyMemory<byte> TagOf(long index) => partition.Tag(_directory[index].Slot) ?? TagCodec.Empty.ToArray();
        long[] ready = ReadyRows(partition, query);
        SampleRequest request = new(ready, query.BatchSize, query.Task, TagOf, query.Sampling, partition.Samples);
        if (ready.Length < query.BatchSize && !_sampler.HasResult(request))
            return null;
        SampleResult result = _sampler.Sample(request);
        if (result.Sampled.IsDefaultOrEmpty)
            return null;
        FoundRows rows = Sampled(partition, result);
        // A batch may have been fixed by a fetch of other fields.
        if (result.Cached is not null && !partition.AreReady(rows.Slots, query.Fields))
            return null;
        return new FetchPick([rows], Select(partition, result.Consumed), [.. result.Fixed.Select(WithGenerations)]);
    }

    /// <summary>Checks that rows may be handed to a task; changes nothing.</summary>
    /// <param name="task">The task, for the error's text.</param>
    /// <param name="rows">The rows, which must all be there.</param>
    /// <exception cref="StaleBatchException">A row is not there any more.</exception>
    public PlannedRows[] PlanConsume(string task, RowSelection rows) => FindExactly(rows, missing => missing.Stale($"task '{task}': fetch"));

    /// <summary>Marks rows as handed to a task.</summary>
    /// <param name="name">The partition.</param>
    /// <param name="task">The task.</param>
    /// <param name="parts">The rows; may be none.</param>
    /// <param name="batches">The batches that the sampler has fixed thereby.</param>
    internal void CommitConsume(string name, string task, PlannedRows[] parts, ImmutableArray<CachedBatch> batches)
    {
        if (Find(name) is { } partition)
        {
            foreach (CachedBatch batch in batches)
                partition.Samples.Set(batch);
        }
        foreach (PlannedRows part in parts)
        {
            int[] sorted = [.. part.Slots];
            Array.Sort(sorted);
            part.Partition!.Consume(task, SlotRun.Of(sorted));
        }
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
        if (missing.Length == 0 && !IsSamplerHosted)
            missing.Append($"; the sampler {_sampler.Name} found no batch in them, it needs {_sampler.Needs}");
        return new NotReadyException($"{head}{ready} of {query.BatchSize} rows ready{missing}");
    }

    /// <summary>The indexes of the ready rows that the sampler must see; none if they are too few. Counters are looked at before bitmaps.</summary>
    private long[] ReadyRows(Partition partition, FetchQuery query)
    {
        int wanted = _sampler.ReadyWanted(query.BatchSize);
        if (!partition.MayHaveEnough(query) || (wanted > query.BatchSize && partition.CountReady(query, query.BatchSize) < query.BatchSize))
            return [];
        long[] ready = partition.Indexes(partition.TakeReady(query, wanted));
        if (partition.Samples.HasReserved)
            ready = Array.FindAll(ready, index => !partition.Samples.IsReserved(query.Task, index, _pool.Generation(index)));
        return ready.Length < query.BatchSize ? [] : ready;
    }

    /// <summary>The rows that a sampler named; it may name rows more than once, or rows that it picked in an earlier call.</summary>
    private FoundRows Sampled(Partition partition, in SampleResult result)
    {
        ImmutableArray<long> indexes = result.Sampled;
        ImmutableArray<uint> generations = result.Cached?.Generations ?? [];
        int[] slots = new int[indexes.Length];
        for (int i = 0; i < slots.Length; i++)
        {
            slots[i] = FindSlot(partition, indexes[i], generations.IsEmpty ? 0 : generations[i]);
            if (slots[i] < 0)
                throw new StaleBatchException(
                    $"partition '{partition.Name}': the sampler {_sampler.Name} picked row {indexes[i]}, which was cleared meanwhile; ask for the next batch");
        }
        return new FoundRows(partition, slots, 0);
    }

    private CachedBatch WithGenerations(CachedBatch batch) =>
        batch.Generations.IsEmpty ? batch with { Generations = [.. batch.Rows.Select(_pool.Generation)] } : batch;

    private RowSelection Select(Partition partition, ImmutableArray<long> indexes) =>
        new(indexes.IsEmpty ? [] : [new PartitionRun(partition.Name, indexes.Length)], indexes, [.. indexes.Select(_pool.Generation)]);
}

using System.Collections.Immutable;

namespace TransferQueue.Sampling;

/// <summary>The fixed batches of one partition, of all tasks; it goes with the partition. Writer thread only.</summary>
internal sealed class SampleCache
{
    private readonly Dictionary<BatchKey, CachedBatch> _batches = [];

    /// <summary>The rows of batches that nobody has taken yet, by task and global index: their generations.</summary>
    private readonly Dictionary<(string Task, long Row), uint> _reserved = [];

    /// <summary>All batches, in no order.</summary>
    internal IReadOnlyCollection<CachedBatch> Batches => _batches.Values;

    /// <summary>Whether rows are kept for anybody.</summary>
    internal bool HasReserved => _reserved.Count > 0;

    /// <summary>The batch, or null if it is not fixed.</summary>
    internal CachedBatch? Find(BatchKey key) => _batches.GetValueOrDefault(key);

    /// <summary>Whether a row is kept for a batch of the task that nobody has taken yet.</summary>
    internal bool IsReserved(string task, long row, uint generation) => _reserved.TryGetValue((task, row), out uint kept) && kept == generation;

    /// <summary>Fixes a batch, or notes that it was taken.</summary>
    internal void Set(CachedBatch batch)
    {
        if (_batches.TryGetValue(batch.Key, out CachedBatch? before))
        {
            foreach (long row in before.Rows)
                _reserved.Remove((before.Key.Task, row));
        }
        _batches[batch.Key] = batch;
        if (batch.IsTaken)
            return;
        ImmutableArray<uint> generations = batch.Generations;
        for (int i = 0; i < batch.Rows.Length; i++)
            _reserved[(batch.Key.Task, batch.Rows[i])] = generations.IsEmpty ? 0 : generations[i];
    }
}

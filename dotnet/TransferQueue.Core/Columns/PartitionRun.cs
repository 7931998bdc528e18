namespace TransferQueue.Columns;

/// <summary>Consecutive rows of one partition.</summary>
/// <param name="Partition">The partition's name.</param>
/// <param name="Count">Rows; at least 1.</param>
public readonly record struct PartitionRun(string Partition, int Count);

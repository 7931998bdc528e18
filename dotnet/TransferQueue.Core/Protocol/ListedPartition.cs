using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>What LIST's reply tells of a partition.</summary>
/// <param name="Name">The partition.</param>
/// <param name="Version">Grows with every change of its keys and tags.</param>
/// <param name="Keys">Its keys in the order of their first put.</param>
/// <param name="Tags">One tag per key, back to back.</param>
internal readonly record struct ListedPartition(string Name, long Version, PackedKeys Keys, ReadOnlyMemory<byte> Tags);

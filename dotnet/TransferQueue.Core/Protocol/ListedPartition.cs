using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>What LIST's reply tells of a partition.</summary>
/// <param name="Name">The partition.</param>
/// <param name="Version">Grows with every change of its keys and tags.</param>
/// <param name="Keys">Its keys in the order of their first put: all, or those that were added or got another tag.</param>
/// <param name="Tags">One tag per key, back to back.</param>
/// <param name="Removed">null: these are all keys. Else these are the changes since a version: take these keys out, then set the others.</param>
internal readonly record struct ListedPartition(string Name, long Version, PackedKeys Keys, ReadOnlyMemory<byte> Tags, PackedKeys? Removed = null);

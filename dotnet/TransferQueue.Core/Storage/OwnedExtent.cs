using TransferQueue.Columns;

namespace TransferQueue.Storage;

/// <summary>An extent and the storage unit that it belongs to: a value.</summary>
/// <param name="Unit">The unit, counted from 0.</param>
/// <param name="Extent">The bytes.</param>
internal readonly record struct OwnedExtent(int Unit, ExtentRef Extent);

using System.Numerics;

namespace TransferQueue.Control;

/// <summary>An array that is used again: what the next request needs of it takes nothing from the collector, which would look at large arrays again and again.</summary>
/// <typeparam name="T">Its elements.</typeparam>
internal sealed class ReusedArray<T>
    where T : unmanaged
{
    /// <summary>Elements that are kept at most; longer ones are made anew each time.</summary>
    internal const int MostKept = 1 << 20;

    private T[] _kept = [];

    /// <summary>So many elements, of any value; valid until the next call.</summary>
    public Memory<T> Take(int length)
    {
        if (length > MostKept)
            return new T[length];
        if (_kept.Length < length)
            _kept = new T[BitOperations.RoundUpToPowerOf2((uint)length)];
        return _kept.AsMemory(0, length);
    }
}

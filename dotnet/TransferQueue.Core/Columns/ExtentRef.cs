namespace TransferQueue.Columns;

/// <summary>Where bytes lie in the arenas of one node: a value, valid as long as its owner holds a reference.</summary>
/// <param name="Segment">The arena's segment (a memfd), counted from 0.</param>
/// <param name="Offset">First byte in the segment.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Epoch">Which life of that room this is: it changes when the room is given out anew.</param>
public readonly record struct ExtentRef(int Segment, long Offset, long Length, uint Epoch)
{
    /// <summary>The part of this extent that begins <paramref name="start"/> bytes in.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside.</exception>
    public ExtentRef Slice(long start, long length)
    {
        if (start < 0 || length < 0 || start > Length - length)
            throw new ArgumentOutOfRangeException(nameof(start), $"extent of {Length} bytes: no part [{start}, {start + length})");
        return this with { Offset = Offset + start, Length = length };
    }
}

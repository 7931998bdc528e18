namespace TransferQueue.Columns;

/// <summary>The tags of B rows: their bytes back to back, and where each begins. An immutable value.</summary>
public sealed class PackedTags
{
    /// <summary>int32[B + 1]; tag i is the bytes [offsets[i], offsets[i + 1]).</summary>
    private readonly int[] _offsets;

    private PackedTags(ReadOnlyMemory<byte> bytes, int[] offsets)
    {
        Bytes = bytes;
        _offsets = offsets;
    }

    /// <summary>One MessagePack map per row, back to back.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>Number of rows B.</summary>
    public int Rows => _offsets.Length - 1;

    /// <summary>Whether no row has an entry.</summary>
    public bool AllEmpty => Bytes.Length == Rows && !Bytes.Span.ContainsAnyExcept(TagCodec.Empty[0]);

    /// <summary>The tag of a row: one map, a part of <see cref="Bytes"/>.</summary>
    public ReadOnlyMemory<byte> this[int row] => Bytes[_offsets[row].._offsets[row + 1]];

    /// <summary>Checks and indexes the tags of <paramref name="rows"/> rows; keeps the bytes, without a copy.</summary>
    /// <exception cref="ProtocolException">There are fewer or more, or one is no map with string keys.</exception>
    /// <exception cref="LimitExceededException">One nests too deep.</exception>
    public static PackedTags Parse(ReadOnlyMemory<byte> bytes, int rows) => new(bytes, TagCodec.Split(bytes.Span, rows));

    /// <summary>The tags of the rows at <paramref name="positions"/>, in that order, copied.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The tags together are beyond 2 GiB.</exception>
    public PackedTags Select(ReadOnlySpan<int> positions)
    {
        var offsets = new int[positions.Length + 1];
        long total = 0;
        for (int i = 0; i < positions.Length; i++)
        {
            total += _offsets[positions[i] + 1] - _offsets[positions[i]];
            ArgumentOutOfRangeException.ThrowIfGreaterThan(total, Array.MaxLength);
            offsets[i + 1] = (int)total;
        }
        var bytes = new byte[total];
        for (int i = 0; i < positions.Length; i++)
            this[positions[i]].Span.CopyTo(bytes.AsSpan(offsets[i]));
        return new PackedTags(bytes, offsets);
    }

    /// <summary>The tags of consecutive rows; shares the bytes.</summary>
    public PackedTags Slice(int start, int count)
    {
        var offsets = new int[count + 1];
        for (int i = 0; i <= count; i++)
            offsets[i] = _offsets[start + i] - _offsets[start];
        return new PackedTags(Bytes[_offsets[start].._offsets[start + count]], offsets);
    }
}

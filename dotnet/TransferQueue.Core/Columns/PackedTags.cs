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
    /// <exception cref="InvalidArgumentException">The tags together are beyond 2 GiB.</exception>
    public PackedTags Select(ReadOnlySpan<int> positions)
    {
        long total = 0;
        foreach (int position in positions)
            total += _offsets[position + 1] - _offsets[position];
        var selected = new Builder(positions.Length, total);
        foreach (int position in positions)
            selected.Add(this[position].Span);
        return selected.ToTags();
    }

    /// <summary>The tags of consecutive rows; shares the bytes.</summary>
    public PackedTags Slice(int start, int count)
    {
        var offsets = new int[count + 1];
        for (int i = 0; i <= count; i++)
            offsets[i] = _offsets[start + i] - _offsets[start];
        return new PackedTags(Bytes[_offsets[start].._offsets[start + count]], offsets);
    }

    /// <summary>The tags of some stretches of rows, one after the other; null where none of them has an entry.</summary>
    /// <param name="parts">Tags, or null for rows without any, and the number of rows.</param>
    internal static PackedTags? Concat(IReadOnlyList<(PackedTags? Tags, int Rows)> parts)
    {
        if (parts.All(part => part.Tags is null))
            return null;
        var joined = new Builder(parts.Sum(part => part.Rows), parts.Sum(part => (long)(part.Tags?.Bytes.Length ?? part.Rows)));
        foreach (var (tags, rows) in parts)
        {
            for (int row = 0; row < rows; row++)
                joined.Add(tags is null ? TagCodec.Empty : tags[row].Span);
        }
        return joined.ToTags();
    }

    /// <summary>Row by row <paramref name="winner"/>'s tag, unless that is empty.</summary>
    internal static PackedTags? Override(PackedTags? loser, PackedTags? winner)
    {
        if (loser is null || winner is null)
            return winner ?? loser;
        var joined = new Builder(winner.Rows, (long)winner.Bytes.Length + loser.Bytes.Length);
        for (int row = 0; row < winner.Rows; row++)
        {
            var tag = winner[row].Span;
            joined.Add(TagCodec.IsEmpty(tag) ? loser[row].Span : tag);
        }
        return joined.ToTags();
    }

    /// <summary>Puts tags together, row by row.</summary>
    private struct Builder(int rows, long maxBytes)
    {
        private readonly int[] _offsets = new int[rows + 1];
        private readonly byte[] _bytes = maxBytes <= Array.MaxLength
            ? new byte[maxBytes]
            : throw new InvalidArgumentException($"tags of {rows} rows: {maxBytes} bytes together; 2 GiB is the most");

        private int _row;

        /// <summary>Adds the next row's tag.</summary>
        internal void Add(ReadOnlySpan<byte> tag)
        {
            tag.CopyTo(_bytes.AsSpan(_offsets[_row]));
            _offsets[_row + 1] = _offsets[_row] + tag.Length;
            _row++;
        }

        /// <summary>The tags of all rows.</summary>
        internal readonly PackedTags ToTags() => new(_bytes.AsMemory(0, _offsets[_row]), _offsets);
    }
}

using System.Collections.Immutable;

namespace TransferQueue.Columns;

/// <summary>
/// The layout that rows of one column share: kind, element type and the shape of one row. An immutable value; two columns
/// with equal layouts can be gathered side by side. docs/wire.md, section 2 has the bytes.
/// </summary>
/// <param name="Kind">How the rows lie.</param>
/// <param name="DType">Element type; <see cref="DType.None"/> for text and object.</param>
/// <param name="Shape">Shape of one row; −1 marks a ragged dimension; empty for scalars, text and object.</param>
public readonly record struct ColumnLayout(ColumnKind Kind, DType DType, ImmutableArray<long> Shape)
{
    /// <summary>Bytes to which the values of a frame or a piece are aligned.</summary>
    public const int Alignment = 64;

    /// <summary>Whether the column has offsets.</summary>
    public bool HasOffsets => Kind != ColumnKind.Dense;

    /// <summary>Whether the rows are tensors.</summary>
    public bool IsTensor => Kind <= ColumnKind.Ragged;

    /// <summary>Dimensions of one row.</summary>
    public int Rank => Shape.IsDefault ? 0 : Shape.Length;

    /// <summary>
    /// Bytes of what one offset counts: a row (dense), a slice along the ragged dimension (jagged), an element (ragged), a
    /// byte (text, object).
    /// </summary>
    public long UnitBytes
    {
        get
        {
            if (!IsTensor)
                return 1;
            long bytes = DType.ItemSize();
            if (Kind == ColumnKind.Ragged)
                return bytes;
            foreach (long extent in Shape)
                bytes = checked(bytes * (extent < 0 ? 1 : extent));
            return bytes;
        }
    }

    /// <summary>Where the values begin in a frame of <paramref name="rows"/> rows: 0 for dense, else behind offsets and shapes.</summary>
    public long ValuesStart(long rows)
    {
        if (!HasOffsets)
            return 0;
        long head = (rows + 1) * sizeof(long) + ShapesBytes(rows);
        return (head + Alignment - 1) & -Alignment;
    }

    /// <summary>Bytes of the per-row shapes in a frame of <paramref name="rows"/> rows: 0 but for ragged.</summary>
    public long ShapesBytes(long rows) => Kind == ColumnKind.Ragged ? rows * Rank * sizeof(int) : 0;

    /// <inheritdoc/>
    public bool Equals(ColumnLayout other) =>
        Kind == other.Kind && DType == other.DType && Shape.AsSpan().SequenceEqual(other.Shape.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        HashCode hash = default;
        hash.Add(Kind);
        hash.Add(DType);
        foreach (long extent in Shape.AsSpan())
            hash.Add(extent);
        return hash.ToHashCode();
    }

    /// <summary>For people: <c>jagged float32 [4, −1]</c>.</summary>
    public override string ToString() =>
        IsTensor ? $"{Kind} {DType} [{string.Join(", ", Shape.AsSpan().ToArray())}]".ToLowerInvariant() : Kind.ToString().ToLowerInvariant();
}

using System.Collections.Immutable;

namespace TransferQueue.Columns;

/// <summary>What is known of one field of a batch of B rows: said once per field, not per row. An immutable value.</summary>
/// <param name="Name">The field's name.</param>
/// <param name="DType">Element type; <see cref="DType.None"/> for text and object; null: not known yet.</param>
/// <param name="Shape">Shape of one row; −1 marks a ragged dimension; [] for scalars; default: not known yet.</param>
/// <param name="IsNested">Whether the rows' shapes differ, or came as a nested tensor.</param>
/// <param name="IsNonTensor">Whether the rows are text or objects.</param>
/// <param name="Sizes">
/// Only where <see cref="Shape"/> has a −1: with one, int32[B], each row's length there; with several, int32[B × rank], each
/// row's shape, −1 behind the end of a row of lower rank. Default: none.
/// </param>
public sealed partial record FieldSchema(
    string Name, DType? DType, ImmutableArray<long> Shape, bool IsNested, bool IsNonTensor, ImmutableArray<int> Sizes = default)
{
    /// <summary>A field of which nothing is known but its name.</summary>
    public static FieldSchema Unknown(string name) => new(name, null, default, false, false);

    /// <summary>The schema of a column in one layout, without sizes.</summary>
    public static FieldSchema Of(string name, in ColumnLayout layout) => new(
        name, layout.DType, layout.Shape.IsDefault ? [] : layout.Shape, layout.Kind is ColumnKind.Jagged or ColumnKind.Ragged, !layout.IsTensor);

    /// <summary>Dimensions of one row; 0 where the shape is unknown.</summary>
    public int Rank => Shape.IsDefault ? 0 : Shape.Length;

    /// <summary>How many dimensions are ragged.</summary>
    public int RaggedDimensions
    {
        get
        {
            int count = 0;
            foreach (long extent in Shape.AsSpan())
                count += extent < 0 ? 1 : 0;
            return count;
        }
    }

    /// <summary>Where the first ragged dimension is, or −1.</summary>
    public int RaggedDimension => Shape.IsDefault ? -1 : Shape.IndexOf(-1);

    /// <summary>How many entries of <see cref="Sizes"/> one row has, where there are any: 1 with one ragged dimension, else the rank.</summary>
    public int SizesPerRow => RaggedDimensions == 1 ? 1 : Rank;

    /// <inheritdoc/>
    public bool Equals(FieldSchema? other) =>
        other is not null && Name == other.Name && DType == other.DType && IsNested == other.IsNested && IsNonTensor == other.IsNonTensor
        && Shape.IsDefault == other.Shape.IsDefault && Shape.AsSpan().SequenceEqual(other.Shape.AsSpan())
        && Sizes.IsDefault == other.Sizes.IsDefault && Sizes.AsSpan().SequenceEqual(other.Sizes.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Name, DType, Rank, IsNested, IsNonTensor, Sizes.IsDefault);
}

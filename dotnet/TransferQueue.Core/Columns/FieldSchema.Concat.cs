using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace TransferQueue.Columns;

/// <content>The schema of rows that came with different schemas.</content>
public sealed partial record FieldSchema
{
    /// <summary>The schema of the rows of all parts, one after the other.</summary>
    /// <param name="parts">Schemas of one field, at least one, and the rows of each.</param>
    /// <returns>
    /// The same schema where shapes are equal; else nested: a dimension that differs is −1, every one if the ranks differ. It has
    /// sizes if the shape of every row is known; its shape is unknown if that of a part is. The first known dtype counts.
    /// </returns>
    internal static FieldSchema Concat(IReadOnlyList<(FieldSchema Schema, int Rows)> parts)
    {
        var first = parts[0].Schema;
        if (first.Sizes.IsDefault && parts.All(part => part.Schema.Equals(first)))
            return first;
        var dtype = parts.Select(part => part.Schema.DType).FirstOrDefault(known => known is not null);
        var joined = first with
        {
            DType = dtype,
            IsNested = parts.Any(part => part.Schema.IsNested),
            IsNonTensor = dtype is null ? parts.Any(part => part.Schema.IsNonTensor) : dtype == Columns.DType.None,
            Shape = default,
            Sizes = default,
        };
        if (parts.Any(part => part.Schema.Shape.IsDefault))
            return joined;
        joined = joined with { Shape = CommonShape(parts) };
        if (joined.RaggedDimensions == 0)
            return joined;
        bool known = parts.All(part => part.Schema.RaggedDimensions == 0 || !part.Schema.Sizes.IsDefault);
        return joined with { IsNested = true, Sizes = known ? joined.SizesOf(parts) : default };
    }

    private static ImmutableArray<long> CommonShape(IReadOnlyList<(FieldSchema Schema, int Rows)> parts)
    {
        int rank = parts.Max(part => part.Schema.Rank);
        var shape = parts[0].Schema.Shape;
        if (parts.Any(part => part.Schema.Rank != rank))
            return [.. Enumerable.Repeat(-1L, rank)];
        foreach (var (part, _) in parts)
        {
            for (int i = 0; i < rank; i++)
            {
                if (part.Shape[i] != shape[i])
                    shape = shape.SetItem(i, -1);
            }
        }
        return shape;
    }

    private ImmutableArray<int> SizesOf(IReadOnlyList<(FieldSchema Schema, int Rows)> parts)
    {
        int width = SizesPerRow;
        var sizes = new int[parts.Sum(part => (long)part.Rows) * width];
        var own = new int[Rank];
        int at = 0;
        foreach (var (schema, rows) in parts)
        {
            own.AsSpan().Fill(-1);
            for (int row = 0; row < rows; row++, at += width)
            {
                // A part without sizes has one shape for all of its rows.
                if (row == 0 || !schema.Sizes.IsDefault)
                    schema.CopyRowShapeTo(row, own);
                if (width == 1)
                    sizes[at] = own[RaggedDimension];
                else
                    own.CopyTo(sizes, at);
            }
        }
        return ImmutableCollectionsMarshal.AsImmutableArray(sizes);
    }
}

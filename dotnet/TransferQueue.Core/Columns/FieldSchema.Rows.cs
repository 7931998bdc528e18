using System.Runtime.InteropServices;

namespace TransferQueue.Columns;

/// <content>Sizes: what a schema knows row by row.</content>
public sealed partial record FieldSchema
{
    /// <summary>The schema in the form that it has in a batch of <paramref name="rows"/> rows.</summary>
    /// <remarks>
    /// With one ragged dimension sizes may also come as each row's whole shape: they become lengths, or, if ranks differ, every
    /// dimension becomes ragged.
    /// </remarks>
    /// <exception cref="InvalidArgumentException">The schema contradicts itself, or its sizes are not those of so many rows.</exception>
    public FieldSchema ForRows(int rows)
    {
        var schema = this;
        if (Sizes is { IsDefault: false, Length: 0 } && RaggedDimensions == 0)
            schema = this with { Sizes = default };
        else if (!Sizes.IsDefault && RaggedDimensions == 1 && Rank > 1 && Sizes.Length == (long)rows * Rank && rows > 0)
            schema = FromWholeShapes(rows);
        schema.Check(rows);
        return schema;
    }

    /// <summary>Writes the shape of row <paramref name="row"/>; −1 behind the end of a row of lower rank, or where it is not known.</summary>
    /// <param name="row">The row.</param>
    /// <param name="shape">int32[rank].</param>
    public void CopyRowShapeTo(int row, Span<int> shape)
    {
        for (int i = 0; i < Rank; i++)
        {
            if (Shape[i] >= 0)
                shape[i] = checked((int)Shape[i]);
            else if (Sizes.IsDefault)
                shape[i] = -1;
            else
                shape[i] = SizesPerRow == 1 ? Sizes[row] : Sizes[row * Rank + i];
        }
    }

    /// <summary>The schema of the rows [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>).</summary>
    internal FieldSchema Slice(int start, int count) =>
        Sizes.IsDefault ? this : this with { Sizes = Sizes.Slice(start * SizesPerRow, count * SizesPerRow) };

    /// <summary>The schema of the rows at <paramref name="rows"/>; what was nested stays nested.</summary>
    internal FieldSchema Select(ReadOnlySpan<int> rows)
    {
        if (Sizes.IsDefault)
            return this;
        int width = SizesPerRow;
        var all = Sizes.AsSpan();
        var sizes = new int[rows.Length * width];
        for (int i = 0; i < rows.Length; i++)
            all.Slice(rows[i] * width, width).CopyTo(sizes.AsSpan(i * width));
        return this with { Sizes = ImmutableCollectionsMarshal.AsImmutableArray(sizes) };
    }

    private FieldSchema FromWholeShapes(int rows)
    {
        if (Sizes.AsSpan().Contains(-1))
            return this with { Shape = [.. Enumerable.Repeat(-1L, Rank)] };
        var lengths = new int[rows];
        for (int row = 0; row < rows; row++)
            lengths[row] = Sizes[row * Rank + RaggedDimension];
        return this with { Sizes = ImmutableCollectionsMarshal.AsImmutableArray(lengths) };
    }

    private void Check(int rows)
    {
        foreach (long extent in Shape.AsSpan())
        {
            if (extent < -1)
                throw new InvalidArgumentException($"field '{Name}': a dimension of {extent}; allowed are −1 (ragged) and more");
        }
        if (RaggedDimensions > 0 && !IsNested)
            throw new InvalidArgumentException($"field '{Name}': ragged dimensions, but not nested");
        if (DType is { } dtype && IsNonTensor != (dtype == Columns.DType.None))
            throw new InvalidArgumentException($"field '{Name}': dtype {dtype}, {(IsNonTensor ? "non-tensor" : "tensor")}");
        if (Sizes.IsDefault)
            return;
        if (RaggedDimensions == 0)
            throw new InvalidArgumentException($"field '{Name}': sizes, but no ragged dimension");
        if (Sizes.Length != (long)rows * SizesPerRow)
            throw new InvalidArgumentException($"field '{Name}': {Sizes.Length} sizes for {rows} rows of {SizesPerRow}");
    }
}

using System.Numerics;

namespace TransferQueue.Columns;

/// <summary>Checks a column's frame against its layout: its length first, then, in native memory, its offsets and shapes.</summary>
internal static unsafe class ColumnFrame
{
    /// <summary>
    /// Checks that a frame of <paramref name="length"/> bytes can hold <paramref name="rows"/> rows: exactly (dense), or its
    /// offsets and shapes and whole units behind them. Reads no byte of it.
    /// </summary>
    /// <param name="column">Name and layout; the layout has passed <see cref="CheckLayout"/>.</param>
    /// <param name="rows">Rows, ≥ 0.</param>
    /// <param name="length">Bytes of the frame.</param>
    /// <exception cref="ProtocolException">It can't.</exception>
    internal static void CheckLength(in ColumnDescriptor column, int rows, long length)
    {
        var layout = column.Layout;
        if (!layout.HasOffsets)
        {
            if ((Int128)layout.UnitBytes * rows != length)
                throw new ProtocolException(
                    $"column '{column.Name}': {rows} rows of {layout} take {(Int128)layout.UnitBytes * rows} bytes; its frame has {length}");
            return;
        }
        long start = layout.ValuesStart(rows);
        if (length < start)
            throw new ProtocolException($"column '{column.Name}': the offsets of {rows} rows of {layout} take {start} bytes; its frame has {length}");
        long values = length - start;
        if (layout.UnitBytes == 0 ? values != 0 : values % layout.UnitBytes != 0)
            throw new ProtocolException($"column '{column.Name}': {values} bytes of values are no multiple of {layout.UnitBytes} ({layout})");
    }

    /// <summary>Checks that kind, dtype and shape fit together and that one row's bytes fit in an i64.</summary>
    /// <exception cref="ProtocolException">They don't.</exception>
    internal static void CheckLayout(string name, in ColumnLayout layout)
    {
        if (layout.Kind > ColumnKind.Object)
            throw new ProtocolException($"column '{name}': kind {(int)layout.Kind}; there are 0 to {(int)ColumnKind.Object}");
        if (layout.IsTensor ? !layout.DType.IsTensor() : layout.DType != DType.None)
            throw new ProtocolException($"column '{name}': dtype {(int)layout.DType} with kind {layout.Kind}");
        int ragged = 0;
        foreach (long extent in layout.Shape.AsSpan())
        {
            if (extent < -1)
                throw new ProtocolException($"column '{name}': a dimension of {extent}; allowed are −1 (ragged) and more");
            ragged += extent < 0 ? 1 : 0;
        }
        bool fits = layout.Kind switch
        {
            ColumnKind.Dense => ragged == 0,
            ColumnKind.Jagged => ragged == 1,
            ColumnKind.Ragged => ragged >= 1,
            _ => layout.Rank == 0,
        };
        if (!fits)
            throw new ProtocolException($"column '{name}': {ragged} ragged dimensions of {layout.Rank} with kind {layout.Kind}");
        CheckUnit(name, layout);
    }

    /// <summary>Checks the content of a frame whose length has passed <see cref="CheckLength"/>.</summary>
    /// <param name="column">Name and layout.</param>
    /// <param name="frame">The frame's first byte, 8-byte aligned; read only.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="rows">Its rows.</param>
    /// <exception cref="ProtocolException">
    /// Offsets don't begin at 0, fall, or don't end with the frame; or a shape contradicts the offsets or the layout.
    /// </exception>
    internal static void Validate(in ColumnDescriptor column, byte* frame, long length, int rows)
    {
        CheckLength(column, rows, length);
        if (!column.Layout.HasOffsets)
            return;
        var offsets = new ReadOnlySpan<long>(frame, rows + 1);
        long unit = column.Layout.UnitBytes;
        if (offsets[0] != 0)
            throw new ProtocolException($"column '{column.Name}': its first offset is {offsets[0]}, not 0");
        if (FirstFall(offsets) is var fall and >= 0)
            throw new ProtocolException($"column '{column.Name}': its offsets fall from {offsets[fall]} to {offsets[fall + 1]} at row {fall}");
        long values = length - column.Layout.ValuesStart(rows);
        if ((Int128)offsets[rows] * unit != values)
            throw new ProtocolException(
                $"column '{column.Name}': its last offset, {offsets[rows]} of {unit} bytes each, does not end its {values} bytes of values");
        if (column.Layout.Kind == ColumnKind.Ragged)
            CheckShapes(column, offsets, (int*)(frame + (rows + 1L) * sizeof(long)));
    }

    private static void CheckUnit(string name, in ColumnLayout layout)
    {
        if (!layout.IsTensor)
            return;
        Int128 bytes = layout.DType.ItemSize();
        foreach (long extent in layout.Shape.AsSpan())
        {
            bytes *= Math.Max(extent, 1);
            if (bytes > long.MaxValue)
                throw new ProtocolException($"column '{name}': one row of {layout} has more than 2^63 bytes");
        }
    }

    /// <summary>The first i with offsets[i + 1] &lt; offsets[i], or −1.</summary>
    private static int FirstFall(ReadOnlySpan<long> offsets)
    {
        int last = offsets.Length - 1;
        int i = 0;
        for (; i + Vector<long>.Count <= last; i += Vector<long>.Count)
        {
            if (Vector.LessThanAny(new Vector<long>(offsets[(i + 1)..]), new Vector<long>(offsets[i..])))
                break;
        }
        for (; i < last; i++)
        {
            if (offsets[i + 1] < offsets[i])
                return i;
        }
        return -1;
    }

    private static void CheckShapes(in ColumnDescriptor column, ReadOnlySpan<long> offsets, int* shapes)
    {
        var shape = column.Layout.Shape.AsSpan();
        for (int row = 0; row < offsets.Length - 1; row++)
        {
            var own = new ReadOnlySpan<int>(shapes + (long)row * shape.Length, shape.Length);
            long elements = offsets[row + 1] - offsets[row];
            if (Elements(own, shape) != elements)
                throw new ProtocolException(
                    $"column '{column.Name}': row {row} has the shape [{string.Join(", ", own.ToArray())}] and {elements} elements ({column.Layout})");
        }
    }

    /// <summary>Elements of a row, or −1 where its shape contradicts the layout's or has something behind a −1.</summary>
    private static Int128 Elements(ReadOnlySpan<int> own, ReadOnlySpan<long> layout)
    {
        Int128 elements = 1;
        bool ended = false;
        for (int i = 0; i < own.Length; i++)
        {
            if (own[i] < -1 || (own[i] >= 0 && (ended || (layout[i] >= 0 && layout[i] != own[i]))))
                return -1;
            ended |= own[i] < 0;
            elements *= Math.Max(own[i], own[i] < 0 ? 1 : 0);
            if (elements > long.MaxValue)
                elements = (Int128)long.MaxValue + 1;
        }
        return elements;
    }
}

using System.Collections.Immutable;
using System.Runtime.InteropServices;
using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>One cell: its bytes, and for a tensor its shape.</summary>
internal sealed record Cell(byte[] Bytes, int[] Shape)
{
    public override string ToString() => $"[{string.Join(',', Shape)}]{Convert.ToHexString(Bytes)}";
}

/// <summary>A column of a put, row by row, and its frame.</summary>
internal sealed record TestColumn(string Name, ColumnLayout Layout, Cell[] Cells)
{
    /// <summary>Rows of one shape, filled with random bytes.</summary>
    public static TestColumn Dense(Random random, string name, DType dtype, int rows, params long[] shape)
    {
        ColumnLayout layout = new(ColumnKind.Dense, dtype, [.. shape]);
        return new(name, layout, [.. Rows(rows, _ => Filled(random, dtype, [.. shape.Select(extent => (int)extent)]))]);
    }

    /// <summary>Rows of differing lengths along the dimension that is −1 in <paramref name="shape"/>.</summary>
    public static TestColumn Jagged(Random random, string name, DType dtype, int[] lengths, params long[] shape)
    {
        ColumnLayout layout = new(ColumnKind.Jagged, dtype, [.. shape]);
        return new(name, layout, [.. Rows(lengths.Length, row => Filled(random, dtype, [.. shape.Select(e => e < 0 ? lengths[row] : (int)e)]))]);
    }

    /// <summary>Rows whose shapes, and ranks, differ.</summary>
    public static TestColumn Ragged(Random random, string name, DType dtype, int[][] shapes)
    {
        int rank = shapes.Length == 0 ? 2 : Math.Max(1, shapes.Max(shape => shape.Length));
        ColumnLayout layout = new(ColumnKind.Ragged, dtype, [.. Enumerable.Repeat(-1L, rank)]);
        return new(name, layout, [.. shapes.Select(shape => Filled(random, dtype, shape))]);
    }

    /// <summary>One string per row.</summary>
    public static TestColumn Text(string name, params string[] rows) =>
        new(name, new ColumnLayout(ColumnKind.Text, DType.None, []), [.. rows.Select(row => new Cell(System.Text.Encoding.UTF8.GetBytes(row), []))]);

    /// <summary>One opaque byte string per row.</summary>
    public static TestColumn Object(string name, params byte[][] rows) =>
        new(name, new ColumnLayout(ColumnKind.Object, DType.None, []), [.. rows.Select(row => new Cell(row, []))]);

    /// <summary>The frame of docs/wire.md, section 2.</summary>
    public byte[] Frame()
    {
        MemoryStream frame = new();
        if (Layout.HasOffsets)
        {
            long end = 0;
            Write(frame, 0L);
            foreach (Cell cell in Cells)
                Write(frame, end += Units(cell));
            for (int row = 0; Layout.Kind == ColumnKind.Ragged && row < Cells.Length; row++)
            {
                for (int d = 0; d < Layout.Rank; d++)
                    Write(frame, d < Cells[row].Shape.Length ? Cells[row].Shape[d] : -1);
            }
            frame.SetLength(frame.Position = Layout.ValuesStart(Cells.Length));
        }
        foreach (Cell cell in Cells)
            frame.Write(cell.Bytes);
        return frame.ToArray();
    }

    /// <summary>The rows that a reply's frame holds, piece by piece, read as the wire describes it.</summary>
    public static Cell[] Read(ReadOnlySpan<byte> frame, ImmutableArray<ColumnPiece> pieces)
    {
        List<Cell> cells = [];
        long start = 0;
        foreach (ColumnPiece piece in pieces)
        {
            Assert.Equal(0, start % 64);
            ReadPiece(frame.Slice((int)start, (int)piece.Bytes), piece, cells);
            start = (start + piece.Bytes + 63) / 64 * 64;
        }
        return [.. cells];
    }

    /// <summary>What a cell adds to the offsets.</summary>
    private long Units(Cell cell) =>
        Layout.Kind == ColumnKind.Jagged ? cell.Shape[Layout.Shape.IndexOf(-1)] : cell.Bytes.Length / Layout.UnitBytes;

    private static void ReadPiece(ReadOnlySpan<byte> frame, ColumnPiece piece, List<Cell> cells)
    {
        ColumnLayout layout = piece.Layout;
        if (!layout.HasOffsets)
        {
            int bytes = (int)layout.UnitBytes;
            Assert.Equal(bytes * piece.Rows, frame.Length);
            for (int row = 0; row < piece.Rows; row++)
                cells.Add(new Cell(frame.Slice(row * bytes, bytes).ToArray(), [.. layout.Shape.Select(extent => (int)extent)]));
            return;
        }
        var offsets = MemoryMarshal.Cast<byte, long>(frame)[..(piece.Rows + 1)];
        var shapes = MemoryMarshal.Cast<byte, int>(frame[((piece.Rows + 1) * 8)..(int)layout.ValuesStart(piece.Rows)]);
        var values = frame[(int)layout.ValuesStart(piece.Rows)..];
        Assert.Equal(0, offsets[0]);
        Assert.Equal(values.Length, offsets[^1] * layout.UnitBytes);
        for (int row = 0; row < piece.Rows; row++)
        {
            int from = (int)(offsets[row] * layout.UnitBytes), to = (int)(offsets[row + 1] * layout.UnitBytes);
            cells.Add(new Cell(values[from..to].ToArray(), Shape(layout, shapes, row, (int)(offsets[row + 1] - offsets[row]))));
        }
    }

    private static int[] Shape(ColumnLayout layout, ReadOnlySpan<int> shapes, int row, int slices) => layout.Kind switch
    {
        ColumnKind.Jagged => [.. layout.Shape.Select(extent => extent < 0 ? slices : (int)extent)],
        ColumnKind.Ragged => [.. shapes.Slice(row * layout.Rank, layout.Rank).ToArray().TakeWhile(extent => extent >= 0)],
        _ => [],
    };

    private static Cell Filled(Random random, DType dtype, int[] shape)
    {
        byte[] bytes = new byte[shape.Aggregate(dtype.ItemSize(), (product, extent) => product * extent)];
        random.NextBytes(bytes);
        return new Cell(bytes, shape);
    }

    private static IEnumerable<Cell> Rows(int count, Func<int, Cell> cell) => Enumerable.Range(0, count).Select(cell);

    private static void Write<T>(Stream stream, T value)
        where T : unmanaged => stream.Write(MemoryMarshal.AsBytes([value]));
}

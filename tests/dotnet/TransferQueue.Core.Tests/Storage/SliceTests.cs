using TransferQueue.Columns;
using TransferQueue.Tests.Records;
using Xunit;

namespace TransferQueue.Tests.Storage;

public sealed class SliceTests
{
    private readonly Random _random = new(31);

    [Theory]
    [InlineData(1, 7)]
    [InlineData(2, 7)]
    [InlineData(3, 2)]
    [InlineData(5, 64)]
    public void EveryKindOfColumnComesBackFromAnyNumberOfUnits(int units, int rows)
    {
        using TestQueue queue = new(units);
        int[] lengths = [.. Enumerable.Range(0, rows).Select(_ => _random.Next(0, 9))];
        TestColumn[] columns =
        [
            TestColumn.Dense(_random, "dense", DType.BFloat16, rows, 3, 2),
            TestColumn.Dense(_random, "scalar", DType.Complex128, rows),
            TestColumn.Dense(_random, "nothing", DType.Float32, rows, 0),
            TestColumn.Jagged(_random, "jagged", DType.Int64, lengths, 2, -1, 3),
            TestColumn.Jagged(_random, "empty", DType.Int64, lengths, -1, 0),
            TestColumn.Ragged(_random, "ragged", DType.Float8E4M3Fn, [.. lengths.Select(length => new[] { length, 9 - length }[..(length % 3)])]),
            TestColumn.Text("text", [.. lengths.Select(length => new string('ß', length))]),
            TestColumn.Object("object", [.. lengths.Select(length => new byte[length * 3])]),
        ];
        string[] keys = TestQueue.Keys("k", rows);
        queue.PutKeys("p", keys, columns);
        int[] order = [.. Enumerable.Range(0, rows), .. Enumerable.Range(0, rows).OrderBy(_ => _random.Next())];
        var read = queue.Get("p", [.. order.Select(row => keys[row])]);
        foreach (TestColumn column in columns)
            Assert.Equal(order.Select(row => column.Cells[row].ToString()), read[column.Name].Select(cell => cell.ToString()));
    }

    [Fact]
    public void PutsOfOneRowSpreadOverTheUnits()
    {
        using TestQueue queue = new(units: 4);
        for (int i = 0; i < 8; i++)
            queue.Put(TestQueue.New("p", 1), TestColumn.Dense(_random, "x", DType.Float32, 1, 100));
        Assert.All(queue.Storage.Units, unit => Assert.Equal(2, unit.ExtentCount));
    }

    [Fact]
    public void SizesOfACutColumnStayWithTheirRows()
    {
        using TestQueue queue = new(units: 3);
        int[] lengths = [5, 0, 2, 9, 1];
        queue.PutKeys("p", TestQueue.Keys("k", 5), TestColumn.Jagged(_random, "x", DType.Int8, lengths, -1));
        Assert.Equal(lengths, queue.Controller.KeysMeta("p", [.. TestQueue.Keys("k", 5)]).Fields[0].Sizes);
    }

    [Fact]
    public void RowsThatWerePutOneByOneAndDifferInTheirFirstDimensionAreOnePiece()
    {
        using TestQueue queue = new();
        List<Cell> cells = [];
        for (int i = 0; i < 40; i++)
        {
            TestColumn column = i % 7 == 3
                ? TestColumn.Jagged(_random, "x", DType.Int16, [i], -1, 5)
                : TestColumn.Dense(_random, "x", DType.Int16, 1, i % 11, 5);
            cells.AddRange(column.Cells);
            queue.PutKeys("p", [$"k{i}"], column);
        }
        string[] keys = TestQueue.Keys("k", 40);
        Assert.Equal([new ColumnLayout(ColumnKind.Jagged, DType.Int16, [-1, 5])], Layouts(queue, keys));
        int[] order = [.. Enumerable.Range(0, 40).OrderBy(_ => _random.Next())];
        Assert.Equal(order.Select(row => cells[row].ToString()), queue.Get("p", [.. order.Select(row => keys[row])])["x"].Select(cell => cell.ToString()));
    }

    [Fact]
    public void RowsThatDoNotLieSideBySideAreSeveralPieces()
    {
        using TestQueue queue = new();
        TestColumn[] columns =
        [
            TestColumn.Dense(_random, "x", DType.Int8, 1, 2, 3),
            TestColumn.Dense(_random, "x", DType.Int8, 1, 2, 4),
            TestColumn.Jagged(_random, "x", DType.Int8, [2, 3], 2, -1),
            TestColumn.Ragged(_random, "x", DType.Int8, [[1, 2], [3, 1]]),
        ];
        string[] keys = TestQueue.Keys("k", 6);
        for (int i = 0, row = 0; i < columns.Length; row += columns[i++].Cells.Length)
            queue.PutKeys("p", keys[row..(row + columns[i].Cells.Length)], columns[i]);
        Assert.Equal(columns.Select(column => column.Layout), Layouts(queue, keys));
        Assert.Equal(columns.SelectMany(column => column.Cells).Select(cell => cell.ToString()), queue.Get("p", keys)["x"].Select(cell => cell.ToString()));
    }

    private static IEnumerable<ColumnLayout> Layouts(TestQueue queue, string[] keys)
    {
        var plan = queue.Controller.PlanReadKeys("p", [.. keys], ["x"]);
        var lease = queue.Storage.Lease(plan.Rows, plan.Columns);
        var layouts = queue.Storage.Measure(lease).Columns[0].Pieces.Select(piece => piece.Layout).ToArray();
        queue.Storage.Return(lease);
        return layouts;
    }
}

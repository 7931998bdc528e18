using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class ReadTests : IDisposable
{
    private readonly Random _random = new(13);
    private readonly TestQueue _queue = new();

    public void Dispose() => _queue.Dispose();

    [Fact]
    public void RowsComeInTheOrderAskedForRepetitionAllowedUnknownKeysDropped()
    {
        TestColumn x = Ints("x", 4);
        _queue.PutKeys("p", TestQueue.Keys("k", 4), x);
        var read = _queue.Get("p", ["k3", "nobody", "k0", "k3"]);
        Assert.Equal([x.Cells[3], x.Cells[0], x.Cells[3]], read["x"], SameCell);
    }

    [Fact]
    public void WithoutFieldsThoseComeThatAllRowsHave()
    {
        _queue.PutKeys("p", ["a", "b"], Ints("b_first", 2), Ints("a_second", 2));
        _queue.PutKeys("p", ["a"], Ints("only_a", 1));
        Assert.Equal(["a_second", "b_first"], _queue.Get("p", ["a", "b"]).Keys);
        Assert.Equal(["a_second", "b_first", "only_a"], _queue.Get("p", ["a"]).Keys);
    }

    [Fact]
    public void UnknownFieldsAreIgnoredAndFieldsThatAreNotReadyRefused()
    {
        _queue.PutKeys("p", ["a", "b"], Ints("x", 2));
        _queue.PutKeys("p", ["a"], Ints("y", 1));
        Assert.Equal(["x"], _queue.Get("p", ["a", "b"], "x", "never_put").Keys);
        Assert.Empty(_queue.Get("p", ["a", "b"], "never_put"));
        var error = Assert.Throws<InvalidArgumentException>(() => _queue.Get("p", ["a", "b"], "x", "y"));
        Assert.Contains("Some fields are not ready in all the requested keys!", error.Message);
        Assert.Contains("y: 1 of 2", error.Message);
    }

    [Fact]
    public void KeysWithoutCommonFieldAreRefused()
    {
        _queue.PutKeys("p", ["a"], Ints("x", 1));
        _queue.Put(TestQueue.ByKeys("p", ["b"], "{\"tag\":1}"));
        var error = Assert.Throws<InvalidArgumentException>(() => _queue.Get("p", ["a", "b"]));
        Assert.Contains("Some fields are not ready in all the requested keys!", error.Message);
    }

    [Fact]
    public void NoKnownKeyOrPartitionIsRefused()
    {
        _queue.PutKeys("p", ["a"], Ints("x", 1));
        foreach (string partition in new[] { "p", "q" })
            Assert.Contains("keys or partition were not found!", Assert.Throws<InvalidArgumentException>(() => _queue.Get(partition, ["b"])).Message);
    }

    [Fact]
    public void APutReplacesCellsAndLeavesTheOtherRowsAlone()
    {
        TestColumn before = Ints("x", 5), after = Ints("x", 2);
        _queue.PutKeys("p", TestQueue.Keys("k", 5), before);
        _queue.PutKeys("p", ["k3", "k1"], after);
        Assert.Equal([before.Cells[0], after.Cells[1], before.Cells[2], after.Cells[0], before.Cells[4]], _queue.Get("p", TestQueue.Keys("k", 5))["x"], SameCell);
    }

    [Fact]
    public void AClearedRowIsStaleWithAGenerationAndNotFoundWithout()
    {
        _queue.Put(TestQueue.New("p", 3), Ints("x", 3));
        RowSelection rows = _queue.Select("p", 0, 1, 2);
        _queue.State.Apply(new ClearRowsRecord(_queue.Select("p", 1)));
        var stale = Assert.Throws<StaleBatchException>(() => _queue.Controller.PlanReadRows(rows, ["x"]));
        Assert.Contains("row 1", stale.Message);
        Assert.Throws<StorageKeyNotFoundException>(() => _queue.Controller.PlanReadRows(rows with { Generations = default }, ["x"]));
        // Its index has a new owner now: the old batch must not read that one's row.
        _queue.Put(TestQueue.New("p", 1), Ints("x", 1));
        Assert.Throws<StaleBatchException>(() => _queue.Controller.PlanReadRows(rows, ["x"]));
        Assert.Equal(3, _queue.Controller.PlanReadRows(_queue.Select("p", 0, 1, 2), ["x"]).Rows);
    }

    [Fact]
    public void ACellThatIsNotThereIsNotFoundByIndex()
    {
        _queue.Put(TestQueue.New("p", 2), Ints("x", 2));
        _queue.Put(TestQueue.ByRows(_queue.Select("p", 0)), Ints("y", 1));
        var error = Assert.Throws<StorageKeyNotFoundException>(() => _queue.Controller.PlanReadRows(_queue.Select("p", 0, 1), ["y"]));
        Assert.Equal("partition 'p': the field 'y' of row 1 is not there; the partition has x, y", error.Message);
        Assert.Throws<StorageKeyNotFoundException>(() => _queue.Controller.PlanReadRows(_queue.Select("p", 0), ["z"]));
    }

    [Fact]
    public void RowsOfSeveralPartitionsComeTogether()
    {
        TestColumn p = Ints("x", 2), q = Ints("x", 2);
        _queue.Put(TestQueue.New("p", 2), p);
        _queue.Put(TestQueue.New("q", 2), q);
        RowSelection rows = new([new("q", 1), new("p", 2), new("q", 1)], [3, 0, 1, 2]);
        Assert.Equal([q.Cells[1], p.Cells[0], p.Cells[1], q.Cells[0]], _queue.Read(_queue.Controller.PlanReadRows(rows, ["x"]))["x"], SameCell);
    }

    [Fact]
    public void OneFieldWithTwoElementTypesInTwoPartitionsIsRefused()
    {
        _queue.Put(TestQueue.New("p", 1), Ints("x", 1));
        _queue.Put(TestQueue.New("q", 1), TestColumn.Text("x", "a"));
        Assert.Throws<SchemaMismatchException>(() => _queue.Controller.PlanReadRows(new RowSelection([new("p", 1), new("q", 1)], [0, 1]), ["x"]));
    }

    [Fact]
    public void RowsOfDifferentLayoutsComeInPiecesInTheOrderAskedFor()
    {
        TestColumn[] puts =
        [
            TestColumn.Dense(_random, "x", DType.Float32, 2, 5),
            TestColumn.Dense(_random, "x", DType.Float32, 2, 7),
            TestColumn.Jagged(_random, "x", DType.Float32, [3, 0], -1),
            TestColumn.Ragged(_random, "x", DType.Float32, [[2, 3], []]),
        ];
        for (int i = 0; i < puts.Length; i++)
            _queue.PutKeys("p", [$"{i}a", $"{i}b"], puts[i]);
        foreach (int seed in Enumerable.Range(0, 20))
        {
            (int Put, int Row)[] order = [.. Enumerable.Range(0, 12).Select(_ => (new Random(seed * 100 + _).Next(4), new Random(seed * 77 + _).Next(2)))];
            string[] keys = [.. order.Select(row => $"{row.Put}{"ab"[row.Row]}")];
            Assert.Equal(order.Select(row => puts[row.Put].Cells[row.Row].ToString()), _queue.Get("p", keys)["x"].Select(cell => cell.ToString()));
        }
    }

    [Fact]
    public void AMergedTagKeepsWhatBothWritersWrote()
    {
        _queue.Put(TestQueue.ByKeys("p", ["a", "b"], "{\"x\":1,\"y\":2}", "{}"));
        var rows = _queue.Put(TestQueue.ByKeys("p", ["b", "a", "c"], "{\"z\":3}", "{\"y\":9,\"w\":[1]}", "{}"));
        PackedTags tags = PackedTags.Parse(Controller.Tags(rows), 3);
        Assert.Equal(["{\"z\":3}", "{\"x\":1,\"y\":9,\"w\":[1]}", "{}"], Enumerable.Range(0, 3).Select(row => TestQueue.Json(tags[row])));
    }

    [Fact]
    public void AListingHasTheKeysInTheOrderOfTheirFirstPutAndEmptiedPartitionsStay()
    {
        _queue.PutKeys("p", ["b", "a"], Ints("x", 2));
        _queue.PutKeys("p", ["c", "a"], Ints("x", 2));
        _queue.Put(TestQueue.New("p", 2), Ints("x", 2));
        PartitionListing before = Assert.Single(_queue.Controller.List("p"));
        Assert.Equal(["b", "a", "c"], before.Keys.Unpack());
        _queue.State.Apply(new ClearKeysRecord("p", ["a", "unknown"]));
        PartitionListing after = Assert.Single(_queue.Controller.List("p"));
        Assert.Equal(["b", "c"], after.Keys.Unpack());
        Assert.True(after.Version > before.Version);
        _queue.PutKeys("p", ["a"], Ints("x", 1));
        Assert.Equal(["b", "c", "a"], _queue.Controller.List(null)[0].Keys.Unpack());
        _queue.State.Apply(new ClearKeysRecord("p", ["a", "b", "c"]));
        Assert.Equal(0, Assert.Single(_queue.Controller.List(null)).Keys.Count);
        Assert.Empty(_queue.Controller.List("q"));
        _queue.State.Apply(new ClearPartitionRecord("p"));
        Assert.Empty(_queue.Controller.List(null));
    }

    [Fact]
    public void AVersionIsNeverUsedTwiceAlsoWhenAPartitionComesAgain()
    {
        HashSet<long> versions = [];
        for (int life = 0; life < 3; life++)
        {
            _queue.PutKeys("p", ["a"], Ints("x", 1));
            Assert.True(versions.Add(_queue.Controller.List("p")[0].Version));
            _queue.State.Apply(new ClearPartitionRecord("p"));
        }
    }

    [Fact]
    public void KeysOfRowsAreFoundByIndex()
    {
        _queue.PutKeys("p", ["a", "b"], Ints("x", 2));
        _queue.State.Insert("p", 1, []);
        _queue.PutKeys("q", ["c"], Ints("x", 1));
        Assert.Equal(["b", null, null, null, "a"], _queue.Controller.RetrieveKeys("p", [1, 2, 3, 99, 0])!);
        Assert.Null(_queue.Controller.RetrieveKeys("nowhere", [0]));
    }

    private static bool SameCell(Cell a, Cell b) => a.ToString() == b.ToString();

    private TestColumn Ints(string name, int rows) => TestColumn.Dense(_random, name, DType.Int32, rows, 3);
}

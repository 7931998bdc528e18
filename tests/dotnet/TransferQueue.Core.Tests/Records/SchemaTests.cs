using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class SchemaTests : IDisposable
{
    private readonly Random _random = new(17);
    private readonly TestQueue _queue = new();

    public void Dispose() => _queue.Dispose();

    [Fact]
    public void RowsOfOneShapeAreDenseAlsoFromSeveralPuts()
    {
        Put(["a"], Dense(1, 5));
        Put(["b", "c"], Dense(2, 5));
        FieldSchema schema = Schema();
        Assert.False(schema.IsNested);
        Assert.Equal([5L], schema.Shape);
        Assert.True(schema.Sizes.IsDefault);
    }

    [Fact]
    public void AnotherShapeMakesTheFieldNestedAndClearingTheOddRowsMakesItDenseAgain()
    {
        Put(["a", "b"], Dense(2, 5, 4));
        Put(["c"], Dense(1, 7, 4));
        FieldSchema schema = Schema();
        Assert.True(schema.IsNested);
        Assert.Equal([-1L, 4], schema.Shape);
        Assert.Equal([5, 5, 7], schema.Sizes);
        _queue.State.Apply(new ClearKeysRecord("p", ["c"]));
        Assert.False(Schema().IsNested);
        Assert.Equal([5L, 4], Schema().Shape);
    }

    [Fact]
    public void SeveralDifferingDimensionsGiveAShapePerRow()
    {
        Put(["a"], Dense(1, 2, 3));
        Put(["b", "c"], TestColumn.Jagged(_random, "x", DType.Float32, [4, 0], 2, -1));
        Put(["d"], Dense(1, 5, 3));
        FieldSchema schema = Schema();
        Assert.Equal([-1L, -1], schema.Shape);
        Assert.Equal([2, 3, 2, 4, 2, 0, 5, 3], schema.Sizes);
    }

    [Fact]
    public void RowsOfDifferingRankFillUpWithMinusOne()
    {
        Put(["a"], Dense(1));
        Put(["b"], TestColumn.Ragged(_random, "x", DType.Float32, [[4, 5]]));
        Put(["c"], TestColumn.Jagged(_random, "x", DType.Float32, [6], -1));
        FieldSchema schema = Schema();
        Assert.Equal([-1L, -1], schema.Shape);
        Assert.Equal([-1, -1, 4, 5, 6, -1], schema.Sizes);
        _queue.State.Apply(new ClearKeysRecord("p", ["b"]));
        Assert.Equal([-1L], Schema().Shape);
        Assert.Equal([-1, 6], Schema().Sizes);
    }

    [Fact]
    public void LengthsOfAJaggedFieldComeFromTheRowsOfTheBatchOnly()
    {
        Put(TestQueue.Keys("k", 4), TestColumn.Jagged(_random, "x", DType.Float32, [3, 1, 4, 1], -1));
        BatchMeta meta = _queue.Controller.KeysMeta("p", ["k3", "k2", "k0"]);
        Assert.Equal([1, 4, 3], meta.Fields[0].Sizes);
        Assert.Equal([3L, 2, 0], meta.GlobalIndexes);
    }

    [Fact]
    public void AForcedFetchHasAllRowsAndMarksNone()
    {
        Put(["a", "b"], TestColumn.Jagged(_random, "x", DType.Float32, [3, 1], -1));
        _queue.State.Insert("p", 1, []);
        _queue.PutKeys("p", ["b"], TestColumn.Text("s", "t"));
        BatchMeta meta = _queue.Controller.ForceFetch("p", ["x", "unknown"]);
        Assert.Equal([0L, 1, 2], meta.GlobalIndexes);
        Assert.Equal([1, 1, 0], meta.ProductionStatus.Select(status => (int)status));
        Assert.Equal([3, 1, -1], Assert.Single(meta.Fields).Sizes);
        Assert.Equal([0, 1, 0], _queue.Controller.ForceFetch("p", ["x", "s"]).ProductionStatus.Select(status => (int)status));
        Assert.Equal(0, _queue.Controller.ForceFetch("nowhere", ["x"]).Size);
        Assert.Equal(["s", "x"], _queue.Controller.ForceFetch("p", default).Fields.Select(field => field.Name));
    }

    [Fact]
    public void AFieldForgetsItsTypeWithItsLastCell()
    {
        Put(["a", "b"], Dense(2, 3));
        _queue.State.Apply(new ClearKeysRecord("p", ["a"]));
        Assert.Throws<SchemaMismatchException>(() => Put(["c"], TestColumn.Text("x", "t")));
        _queue.State.Apply(new ClearKeysRecord("p", ["b"]));
        Put(["c"], TestColumn.Text("x", "t"));
        Assert.True(Schema().IsNonTensor);
        Assert.NotNull(_queue.Controller.ProductionStatus("p", ["x"]));
    }

    [Fact]
    public void TextAndObjectsMixInOneField()
    {
        Put(["a"], TestColumn.Text("x", "né"));
        Put(["b"], TestColumn.Object("x", [1, 2, 3]));
        Assert.Equal(DType.None, Schema().DType);
        Assert.Equal(["6EC3A9", "010203"], _queue.Get("p", ["a", "b"])["x"].Select(cell => Convert.ToHexString(cell.Bytes)));
    }

    [Fact]
    public void NewRowsAreNotReadyAndTheirBatchSaysWhatIsKnown()
    {
        Put(["a"], Dense(1, 3));
        BatchMeta meta = _queue.State.Insert("p", 2, ["x", "later"]);
        Assert.Equal([1L, 2], meta.GlobalIndexes);
        Assert.False(meta.IsReady);
        Assert.Equal([FieldSchema.Unknown("later"), FieldSchema.Unknown("x") with { DType = DType.Float32 }], meta.Fields);
        Assert.Null(_queue.Controller.ProductionStatus("p", ["later"]));
    }

    [Fact]
    public void KeysAreMadeOnceAndUnknownOnesLeftOut()
    {
        Put(["a"], Dense(1, 3));
        int records = _queue.Log.Count;
        Assert.Equal([0L], _queue.State.RetrieveMeta("p", ["a", "b"], create: false).GlobalIndexes);
        Assert.Equal(0, _queue.State.RetrieveMeta("nowhere", ["a"], create: false).Size);
        Assert.Equal(records, _queue.Log.Count);
        BatchMeta made = _queue.State.RetrieveMeta("p", ["b", "a"], create: true);
        Assert.Equal([1L, 0], made.GlobalIndexes);
        Assert.Equal([0, 0], made.ProductionStatus.Select(status => (int)status));
        Assert.Equal([1L, 0], _queue.State.RetrieveMeta("p", ["b", "a"], create: true).GlobalIndexes);
        Assert.Equal(records + 1, _queue.Log.Count);
    }

    [Fact]
    public void IndexesAreSharedByAllPartitionsFirstBackFirstOut()
    {
        Assert.Equal(Range(0, 32), _queue.State.Insert("P1", 32, []).GlobalIndexes);
        Assert.Equal(Range(32, 16), _queue.State.Insert("P2", 16, []).GlobalIndexes);
        Assert.True(_queue.State.Apply(new ClearPartitionRecord("P1")));
        Assert.Equal([.. Range(0, 32), .. Range(48, 32)], _queue.State.Insert("P3", 64, []).GlobalIndexes);
        Assert.Equal(["P2", "P3"], _queue.Controller.Partitions.Select(partition => partition.Name));
    }

    [Fact]
    public void PreAllocatedRowsCountInBothStatusesAndAreUsedFirst()
    {
        using TestQueue queue = new(preAllocate: 3);
        queue.PutKeys("p", ["a"], Dense(1, 3));
        Assert.Equal([0L, 1, 2], queue.Controller.ConsumptionStatus("p", "t")!.Indexes.ToArray());
        Assert.Equal([1, 0, 0], queue.Controller.ProductionStatus("p", ["x"])!.Status.ToArray().Select(status => (int)status));
        Assert.Equal([1L, 2, 3], queue.State.Insert("p", 3, []).GlobalIndexes);
        Assert.Equal(4, queue.Controller.RowCount);
    }

    [Fact]
    public void StatusesComeInTheOrderOfTheFieldsAskedFor()
    {
        Put(["a", "b"], Dense(2, 3));
        _queue.PutKeys("p", ["b"], TestColumn.Text("s", "t"));
        Assert.Equal([0, 1, 1, 1], _queue.Controller.ProductionStatus("p", ["s", "x"])!.Status.ToArray().Select(status => (int)status));
        Assert.Equal([1, 0, 1, 1], _queue.Controller.ProductionStatus("p", ["x", "s"])!.Status.ToArray().Select(status => (int)status));
        Assert.Null(_queue.Controller.ProductionStatus("p", ["x", "unknown"]));
        Assert.Null(_queue.Controller.ProductionStatus("nowhere", ["x"]));
        Assert.Null(_queue.Controller.ConsumptionStatus("nowhere", "t"));
    }

    [Fact]
    public void AllRowsAreProducedOrConsumedOnlyWhereThereAreRows()
    {
        Assert.False(_queue.Controller.IsProduced("p", ["x"]));
        Assert.False(_queue.Controller.IsConsumed("p", "t"));
        Put(["a", "b"], Dense(2, 3));
        Assert.True(_queue.Controller.IsProduced("p", ["x"]));
        Assert.False(_queue.Controller.IsProduced("p", ["x", "unknown"]));
        Assert.False(_queue.Controller.IsProduced("p", []));
        Assert.False(_queue.Controller.IsConsumed("p", "t"));
        _queue.State.Apply(new ClearKeysRecord("p", ["a", "b"]));
        Assert.False(_queue.Controller.IsProduced("p", ["x"]));
        Assert.False(_queue.Controller.IsConsumed("p", "t"));
    }

    private static ImmutableArray<long> Range(int start, int count) => [.. Enumerable.Range(start, count).Select(i => (long)i)];

    private FieldSchema Schema() => Assert.Single(_queue.Controller.ForceFetch("p", ["x"]).Fields);

    private FoundRows[] Put(string[] keys, TestColumn column) => _queue.PutKeys("p", keys, column);

    private TestColumn Dense(int rows, params long[] shape) => TestColumn.Dense(_random, "x", DType.Float32, rows, shape);
}

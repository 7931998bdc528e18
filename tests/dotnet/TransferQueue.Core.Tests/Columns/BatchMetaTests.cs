using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Columns;

public sealed class BatchMetaTests
{
    private static readonly BatchMeta Three = BatchMeta.Create([10, 11, 12], [new("p", 2), new("q", 1)], [FieldSchema.Unknown("x")]);

    [Fact]
    public void SelectedRowsAreThoseAtThePositionsInTheirOrder() => Prop.ForAll(
        (from batch in BatchRows.Generator()
         from positions in batch.Size == 0 ? Gen.Constant(new List<int>()) : Gen.ListOf(Gen.Choose(0, batch.Size - 1))
         select (batch, positions)).ToArbitrary(),
        given =>
        {
            var selected = given.batch.SelectRows(given.positions.Select(position => (long)position).ToArray());
            var rows = BatchRows.Of(given.batch);
            Assert.Equal(given.positions.Select(position => rows[position]), BatchRows.Of(selected));
            Assert.Equal(given.batch.Fields.Select(field => field.IsNested), selected.Fields.Select(field => field.IsNested));
            AssertShortest(selected);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void ChunksAreTheRowsInTheirOrderTheFirstOnesLonger() => Prop.ForAll(
        (from batch in BatchRows.Generator() from count in Gen.Choose(1, 50) select (batch, count)).ToArbitrary(),
        given =>
        {
            var chunks = given.batch.Chunk(given.count);
            Assert.Equal(BatchRows.Of(given.batch), chunks.SelectMany(BatchRows.Of));
            int size = given.batch.Size;
            Assert.Equal(Enumerable.Range(0, given.count).Select(i => size / given.count + (i < size % given.count ? 1 : 0)), chunks.Select(chunk => chunk.Size));
            Assert.All(chunks, AssertShortest);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void ChunksByPartitionKeepTheOrderOfFirstAppearance() => Prop.ForAll(BatchRows.Generator().ToArbitrary(), batch =>
    {
        var chunks = batch.ChunkByPartition();
        var names = batch.Partitions.SelectMany(run => Enumerable.Repeat(run.Partition, run.Count)).ToList();
        Assert.Equal(names.Distinct(), chunks.Select(chunk => chunk.Partitions.Single().Partition));
        var rows = BatchRows.Of(batch);
        Assert.Equal(names.Distinct().SelectMany(name => rows.Where((_, i) => names[i] == name)), chunks.SelectMany(BatchRows.Of));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void ConcatIsTheRowsOfAllBatchesWithTheirOwnShapes() => Prop.ForAll(
        Gen.ListOf(BatchRows.Generator(allFields: true)).ToArbitrary(),
        batches =>
        {
            var joined = BatchMeta.Concat(batches);
            Assert.Equal(batches.SelectMany(BatchRows.Of), BatchRows.Of(joined));
            AssertShortest(joined);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void ChunksPutTogetherAreTheBatchAgain() => Prop.ForAll(
        (from batch in BatchRows.Generator() from count in Gen.Choose(1, 9) select (batch, count)).ToArbitrary(),
        given => Assert.Equal(BatchRows.Of(given.batch), BatchRows.Of(BatchMeta.Concat(given.batch.Chunk(given.count)))))
        .QuickCheckThrowOnFailure();

    [Fact]
    public void ReorderMovesEveryRow() => Prop.ForAll(
        (from batch in BatchRows.Generator() from order in Gen.Shuffle(Enumerable.Range(0, batch.Size).ToArray()) select (batch, order)).ToArbitrary(),
        given =>
        {
            var rows = BatchRows.Of(given.batch);
            var reordered = given.batch.Reorder(given.order.Select(position => (long)position).ToArray());
            Assert.Equal(given.order.Select(position => rows[position]), BatchRows.Of(reordered));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void UnionHasTheFieldsOfBothAndIsReadyWhereBothAre() => Prop.ForAll(
        (from batch in BatchRows.Generator().Where(batch => batch.Size > 0) from other in BatchRows.SameRows(batch) select (batch, other)).ToArbitrary(),
        given =>
        {
            var (batch, other) = given;
            var union = batch.Union(other);
            Assert.Equal(other.Fields.Concat(batch.Fields).DistinctBy(field => field.Name).OrderBy(field => field.Name, CodePointOrder.Instance), union.Fields);
            for (int row = 0; row < batch.Size; row++)
            {
                Assert.Equal(batch.ProductionStatus[row] & other.ProductionStatus[row], union.ProductionStatus[row]);
                string theirs = Tag(other, row);
                Assert.Equal(theirs == "80" ? Tag(batch, row) : theirs, Tag(union, row));
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void OutOfRangePositionsAndBrokenOrdersAreRefused()
    {
        Assert.Throws<InvalidArgumentException>(() => Three.SelectRows([3]));
        Assert.Throws<InvalidArgumentException>(() => Three.SelectRows([-1]));
        Assert.Throws<InvalidArgumentException>(() => Three.Reorder([0, 1]));
        Assert.Throws<InvalidArgumentException>(() => Three.Reorder([0, 1, 1]));
        Assert.Throws<InvalidArgumentException>(() => Three.Reorder([0, 1, 3]));
        Assert.Throws<InvalidArgumentException>(() => Three.Chunk(0));
    }

    [Fact]
    public void ConcatRefusesOtherFieldsAndDTypesUnlessToldNotTo()
    {
        FieldSchema Of(DType dtype) => new("x", dtype, [], false, false);
        var ints = Three.AddFields([Of(DType.Int64)]);
        var floats = Three.AddFields([Of(DType.Float32), FieldSchema.Unknown("y")]);
        Assert.Contains("[x]; batch 1 has [x, y]", Assert.Throws<InvalidArgumentException>(() => BatchMeta.Concat([ints, floats])).Message);
        Assert.Contains("Int64", Assert.Throws<InvalidArgumentException>(() => BatchMeta.Concat([ints, floats.SelectFields(["x"])])).Message);
        Assert.Equal(["x"], BatchMeta.Concat([ints, floats], validate: false).Fields.Select(field => field.Name));
        Assert.Equal(DType.Int64, BatchMeta.Concat([Three, ints]).Fields[0].DType);
    }

    [Fact]
    public void ConcatOfOneDifferingDimensionSaysEachRowsLengthThere()
    {
        FieldSchema Of(params long[] shape) => new("x", DType.Int8, [.. shape], false, false);
        BatchMeta Batch(FieldSchema field) => BatchMeta.Create([1, 2], [new("p", 2)], [field]);
        Assert.Equal(
            new FieldSchema("x", DType.Int8, [2, -1, 4], true, false, [3, 3, 5, 5]),
            BatchMeta.Concat([Batch(Of(2, 3, 4)), Batch(Of(2, 5, 4))]).Fields[0]);
        Assert.Equal(
            new FieldSchema("x", DType.Int8, [-1, -1], true, false, [3, -1, 3, -1, 5, 6, 5, 6]),
            BatchMeta.Concat([Batch(Of(3)), Batch(Of(5, 6))]).Fields[0]);
        Assert.Equal(
            new FieldSchema("x", DType.Int8, [-1], true, false, [-1, -1, 7, 7]),
            BatchMeta.Concat([Batch(Of()), Batch(Of(7))]).Fields[0]);
        Assert.Equal(Of(2), BatchMeta.Concat([Batch(Of(2)), Batch(Of(2))]).Fields[0]);
        Assert.True(BatchMeta.Concat([Batch(Of(2)), Batch(FieldSchema.Unknown("x"))]).Fields[0].Shape.IsDefault);
    }

    [Fact]
    public void UnionRefusesOtherRows()
    {
        var other = BatchMeta.Create([10, 11, 13], Three.Partitions, []);
        Assert.Throws<InvalidArgumentException>(() => Three.Union(other));
        Assert.Throws<InvalidArgumentException>(() => Three.Union(BatchMeta.Create(Three.GlobalIndexes, [new("p", 3)], [])));
        Assert.Same(Three, Three.Union(BatchMeta.Empty));
        Assert.Same(Three, BatchMeta.Empty.Union(Three));
    }

    [Fact]
    public void UnionKeepsTheGenerationThatIsKnownAndRefusesTwo()
    {
        BatchMeta Of(params uint[] generations) => BatchMeta.Create(Three.GlobalIndexes, Three.Partitions, [], generations: [.. generations]);
        Assert.Equal([1u, 2, 0], Of(1, 0, 0).Union(Of(0, 2, 0)).Generations);
        Assert.Contains("row 11 has generation 2 and 3", Assert.Throws<InvalidArgumentException>(() => Of(1, 2, 3).Union(Of(1, 3, 3))).Message);
    }

    [Fact]
    public void FieldsAreSortedAsPythonSortsThem()
    {
        var batch = Three.AddFields([FieldSchema.Unknown("\U0001F600"), FieldSchema.Unknown("\uFF5E"), FieldSchema.Unknown("Z")]);
        Assert.Equal(["Z", "x", "\uFF5E", "\U0001F600"], batch.Fields.Select(field => field.Name));
        Assert.Equal(["Z", "x"], batch.SelectFields(["x", "Z", "unknown"]).Fields.Select(field => field.Name));
    }

    [Fact]
    public void AddedFieldsReplaceAndMakeReady()
    {
        Assert.False(Three.IsReady);
        var field = new FieldSchema("x", DType.Int8, [2], false, false);
        var added = Three.AddFields([field]);
        Assert.Equal([field], added.Fields);
        Assert.True(added.IsReady);
        Assert.False(Three.AddFields([field], setReady: false).IsReady);
        Assert.Same(Three, Three.AddFields([]));
        Assert.False(BatchMeta.Empty.IsReady);
        Assert.Throws<InvalidArgumentException>(() => Three.AddFields([field, field]));
        Assert.Throws<InvalidArgumentException>(() => Three.AddFields([new("j", DType.Int8, [-1], true, false, [1, 2])]));
    }

    [Fact]
    public void WholeShapesOfRowsWithOneRaggedDimensionBecomeLengths()
    {
        FieldSchema Of(params int[] sizes) => BatchMeta.Create([1, 2], [new("p", 2)], [new("x", DType.Int8, [2, -1], true, false, [.. sizes])]).Fields[0];
        Assert.Equal(new FieldSchema("x", DType.Int8, [2, -1], true, false, [3, 4]), Of(2, 3, 2, 4));
        Assert.Equal(new FieldSchema("x", DType.Int8, [-1, -1], true, false, [2, -1, 2, 4]), Of(2, -1, 2, 4));
        Assert.Equal(new FieldSchema("x", DType.Int8, [2, -1], true, false, [3, 4]), Of(3, 4));
        Assert.Throws<InvalidArgumentException>(() => Of(1, 2, 3));
    }

    [Fact]
    public void LengthsThatDontFitAreRefused()
    {
        Assert.Throws<InvalidArgumentException>(() => BatchMeta.Create([1, 2], [new("p", 1)], []));
        Assert.Throws<InvalidArgumentException>(() => BatchMeta.Create([1], [new("p", 1)], [], productionStatus: [1, 1]));
        Assert.Throws<InvalidArgumentException>(() => BatchMeta.Create([1], [new("p", 1)], [], productionStatus: [2]));
        Assert.Throws<InvalidArgumentException>(() => BatchMeta.Create([1], [new("p", 1)], [], generations: [1, 2]));
        Assert.Throws<InvalidArgumentException>(() => Three.WithTags(PackedTags.Parse(new byte[] { 0x80 }, 1)));
    }

    private static string Tag(BatchMeta batch, int row) => batch.Tags is null ? "80" : Convert.ToHexString(batch.Tags[row].Span);

    private static void AssertShortest(BatchMeta batch)
    {
        Assert.True(batch.Generations.IsDefault || batch.Generations.Any(generation => generation != 0));
        Assert.True(batch.Tags is null || !batch.Tags.AllEmpty);
        Assert.All(batch.Partitions.Zip(batch.Partitions.Skip(1)), pair => Assert.NotEqual(pair.First.Partition, pair.Second.Partition));
    }
}

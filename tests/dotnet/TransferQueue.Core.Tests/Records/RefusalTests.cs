using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class RefusalTests : IDisposable
{
    private readonly Random _random = new(5);
    private readonly TestQueue _queue = new(capacityBytes: 1 << 20, rowCapacity: 12);

    public RefusalTests()
    {
        _queue.PutKeys("train", TestQueue.Keys("k", 4), Floats("x", 4), TestColumn.Text("s", "a", "b", "c", "d"));
        _queue.Put(TestQueue.New("val", 4), Floats("x", 4));
        _queue.State.TryFetch(new FetchQuery("train", "t", ["x"], 2), out _);
    }

    public void Dispose() => _queue.Dispose();

    [Fact]
    public void AnotherElementTypeIsRefusedWithBothTypes()
    {
        var error = Refused<SchemaMismatchException>(() => _queue.PutKeys("train", ["k0", "new"], TestColumn.Dense(_random, "x", DType.Int64, 2, 3)));
        Assert.Equal(
            "partition 'train': the field 'x' holds float32, the put brings int64; convert it, use another field, or clear the rows that hold the old type",
            error.Message);
    }

    [Fact]
    public void TextInATensorFieldIsRefusedAndTheOtherWayRound()
    {
        Refused<SchemaMismatchException>(() => _queue.PutKeys("train", ["k0"], TestColumn.Text("x", "no")));
        Refused<SchemaMismatchException>(() => _queue.PutKeys("train", ["k0"], Floats("s", 1)));
    }

    [Fact]
    public void AColumnThatIsRefusedTakesTheOthersWithIt() =>
        Refused<SchemaMismatchException>(() => _queue.PutKeys("train", ["k9"], Floats("fresh", 1), TestColumn.Dense(_random, "x", DType.Int8, 1, 3)));

    [Fact]
    public void KeysThatComeTwiceAreRefused() =>
        Assert.Contains("'k7' comes twice", Refused<InvalidArgumentException>(() => _queue.PutKeys("train", ["k7", "k8", "k7"], Floats("x", 3))).Message);

    [Fact]
    public void NoKeysAndNothingToPutAreRefused()
    {
        Refused<InvalidArgumentException>(() => _queue.PutKeys("train", [], Floats("x", 0)));
        Refused<InvalidArgumentException>(() => _queue.PutKeys("train", ["k9"]));
    }

    [Fact]
    public void AFieldThatComesTwiceIsRefused() =>
        Refused<InvalidArgumentException>(() => _queue.PutKeys("train", ["k9"], Floats("y", 1), Floats("y", 1)));

    [Fact]
    public void ColumnsOfAnotherNumberOfRowsAreRefused()
    {
        PutSpec spec = new(RowsRef.ByKeys("train", ["k8", "k9"]), null, [new PutColumn("x", Floats("x", 3).Layout, [new(Floats("x", 3).Layout, 3, default, 0, null)])]);
        Assert.Contains("'x' has 3 rows, the put 2", Refused<InvalidArgumentException>(() => _queue.State.Apply(new PutRecord(spec))).Message);
    }

    [Fact]
    public void TagsForAnotherNumberOfRowsAreRefused()
    {
        Refused<InvalidArgumentException>(() => _queue.State.Apply(new PutRecord(new PutSpec(RowsRef.ByKeys("train", ["k9"]), TestQueue.Tags("{}", "{}"), []))));
        Refused<InvalidArgumentException>(() => _queue.State.Apply(new SetTagsRecord(_queue.Select("train", 0), TestQueue.Tags("{}", "{}"), false)));
    }

    [Fact]
    public void RowsOfAnOlderGenerationAreStale()
    {
        RowSelection old = _queue.Select("val", 4, 5);
        _queue.State.Apply(new ClearRowsRecord(old));
        _queue.Put(TestQueue.New("val", 2), Floats("x", 2));
        var error = Refused<StaleBatchException>(() => _queue.Put(TestQueue.ByRows(old), Floats("x", 2)));
        Assert.Contains("row 4", error.Message);
        Assert.Contains("generation 1, now 2", error.Message);
        Refused<StaleBatchException>(() => _queue.State.Apply(new SetTagsRecord(old, TestQueue.Tags("{\"a\":1}", "{}"), false)));
        Refused<StaleBatchException>(() => _queue.State.Apply(new FetchRecord("val", "t", old, [])));
    }

    [Theory]
    [InlineData("val", 77)]
    [InlineData("train", 4)]
    [InlineData("nowhere", 0)]
    public void RowsThatAreNotInThePartitionAreRefused(string partition, long index)
    {
        RowSelection rows = new([new PartitionRun("val", 1), new PartitionRun(partition, 1)], [5, index]);
        Refused<StaleBatchException>(() => _queue.Put(TestQueue.ByRows(rows), Floats("x", 2)));
        if (partition != "nowhere")
            Refused<StorageKeyNotFoundException>(() => _queue.State.Apply(new SetTagsRecord(rows, TestQueue.Tags("{\"a\":1}", "{\"a\":1}"), true)));
    }

    [Fact]
    public void TagsOfRowsWhosePartitionIsGoneAreIgnored()
    {
        RowSelection rows = new([new PartitionRun("nowhere", 2), new PartitionRun("val", 1)], [0, 77, 5]);
        _queue.State.Apply(new SetTagsRecord(rows, TestQueue.Tags("{\"a\":1}", "{\"a\":2}", "{\"a\":3}"), true));
        Assert.Equal("{\"a\":3}", TestQueue.Json(_queue.Controller.TagsOf("val", [5])));
        Assert.DoesNotContain("nowhere", _queue.Controller.Partitions.Select(partition => partition.Name));
    }

    [Fact]
    public void AnIndexThatComesTwiceIsRefused() =>
        Refused<InvalidArgumentException>(() => _queue.Put(TestQueue.ByRows(_queue.Select("val", 4, 5, 4)), Floats("x", 3)));

    [Fact]
    public void MoreRowsThanTheLimitAreRefusedAndRowsThatHaveCellsCountOnce()
    {
        var error = Refused<StorageFullException>(() => _queue.PutKeys("train", TestQueue.Keys("k", 6, first: 3), Floats("y", 6), Floats("z", 6)));
        Assert.Contains("5 more rows asked, 8 of 12 rows are used", error.Message);
        _queue.PutKeys("train", TestQueue.Keys("k", 4), Floats("y", 4));
        _queue.PutKeys("train", TestQueue.Keys("k", 8), Floats("y", 8));
        Refused<StorageFullException>(() => _queue.PutKeys("other", ["one"], Floats("y", 1)));
        _queue.Put(TestQueue.ByKeys("other", ["one"], "{\"tag\":1}"));
    }

    [Fact]
    public void MoreBytesThanThereIsRoomForAreRefusedBeforeAnythingIsReceived()
    {
        TestColumn large = TestColumn.Dense(_random, "x", DType.Float32, 2, 100_000), small = Floats("y", 2);
        PutRequest request = TestQueue.ByKeys("train", ["k0", "k1"]) with { Columns = [new("y", small.Layout), new("x", large.Layout), new("z", large.Layout)] };
        long[] lengths = [24, 800_000, 800_000];
        var error = Refused<StorageFullException>(() => _queue.Storage.Reserve(request.Rows, request.Columns, lengths));
        Assert.Contains("1600024 bytes", error.Message);
    }

    [Fact]
    public void AFrameThatContradictsItselfIsRefused()
    {
        TestColumn column = TestColumn.Jagged(_random, "j", DType.Int32, [2, 3], -1);
        PutRequest request = TestQueue.ByKeys("train", ["k0", "k1"]) with { Columns = [new("j", column.Layout)] };
        byte[] frame = column.Frame();
        frame[8] = 9;
        Refused<ProtocolException>(() =>
        {
            var reservation = _queue.Storage.Reserve(2, request.Columns, [frame.Length]);
            TestQueue.Fill(reservation, [frame]);
            try
            {
                reservation.Verify();
            }
            finally
            {
                _queue.Storage.Abandon(reservation);
            }
        });
    }

    [Fact]
    public void APutThatWasOvertakenByAConflictingOneIsRefusedAndItsRoomIsFree()
    {
        TestColumn ints = TestColumn.Dense(_random, "late", DType.Int32, 1);
        PutRequest request = TestQueue.ByKeys("train", ["k0"]) with { Columns = [new("late", ints.Layout)] };
        _queue.State.CheckPut(request, long.MaxValue);
        var reservation = _queue.Receive(request, [ints]);
        _queue.PutKeys("train", ["k1"], Floats("late", 1));
        long used = _queue.Storage.UsedBytes;
        string before = StateDigest.Of(_queue.State);
        Assert.Throws<SchemaMismatchException>(() => _queue.State.Put(request, reservation));
        Assert.Equal(before, StateDigest.Of(_queue.State));
        Assert.True(_queue.Storage.UsedBytes < used);
    }

    [Fact]
    public void ALargePutIsRefusedBeforeItsColumnsCome()
    {
        PutRequest request = TestQueue.ByKeys("train", ["k0"]) with { Columns = [new("x", TestColumn.Dense(_random, "x", DType.Int64, 1, 3).Layout)] };
        Refused<SchemaMismatchException>(() => _queue.State.CheckPut(request, 64 << 10));
    }

    [Fact]
    public void AQueryThatCannotBeRightIsRefused()
    {
        Refused<InvalidArgumentException>(() => _queue.State.TryFetch(new FetchQuery("train", "t", [], 1), out _));
        Refused<InvalidArgumentException>(() => _queue.State.TryFetch(new FetchQuery("train", "t", ["x"], 0), out _));
        Refused<InvalidArgumentException>(() => _queue.State.Insert("train", -1, []));
        Refused<InvalidArgumentException>(() => _queue.State.RetrieveMeta("train", ["n1", "n1"], create: true));
    }

    private T Refused<T>(Action request)
        where T : TransferQueueException
    {
        string before = StateDigest.Of(_queue.State);
        long used = _queue.Storage.UsedBytes;
        int records = _queue.Log.Count;
        T error = Assert.Throws<T>(request);
        Assert.Equal(before, StateDigest.Of(_queue.State));
        Assert.Equal(used, _queue.Storage.UsedBytes);
        Assert.Equal(records, _queue.Log.Count);
        return error;
    }

    private TestColumn Floats(string name, int rows) => TestColumn.Dense(_random, name, DType.Float32, rows, 3);
}

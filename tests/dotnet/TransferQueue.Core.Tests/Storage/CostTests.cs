using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Storage;
using TransferQueue.Tests.Records;
using Xunit;

namespace TransferQueue.Tests.Storage;

/// <summary>What a put and a get cost in slices, segments and stretches of memory, whatever the number of rows.</summary>
public sealed class CostTests
{
    private readonly Random _random = new(23);

    [Theory]
    [InlineData(64, 1)]
    [InlineData(1024, 1)]
    [InlineData(65536, 1)]
    [InlineData(64, 4)]
    [InlineData(1024, 4)]
    [InlineData(65536, 4)]
    public void APutCostsOneSliceAndOneSegmentPerColumnAndUnit(int rows, int units)
    {
        using TestQueue queue = new(units);
        Put(queue, rows, 3);
        Assert.Equal(3 * units, queue.Storage.Counters.SlicesPlaced);
        Partition partition = queue.Controller.Find("p")!;
        Assert.All(partition.Fields, field => Assert.Equal(units, field.Map.SegmentCount));
    }

    [Theory]
    [InlineData(64, 1)]
    [InlineData(1024, 1)]
    [InlineData(65536, 1)]
    [InlineData(64, 4)]
    [InlineData(1024, 4)]
    [InlineData(65536, 4)]
    public void AGetOfAWholePutCostsOneRunPerColumnAndUnit(int rows, int units)
    {
        using TestQueue queue = new(units);
        long[] indexes = Put(queue, rows, 3);
        StorageCounters counters = Get(queue, indexes);
        Assert.Equal(3 * units, queue.Controller.SegmentsVisited);
        Assert.Equal(3 * units, counters.RunsRead);
        Assert.Equal(3 * units, counters.ExtentsTouched);
        // One jagged column has its offsets made anew, in one stretch.
        Assert.InRange(counters.SegmentsSent, 3, 3 * units + 1);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(1024)]
    [InlineData(65536)]
    public void AGetOfManyPutsCostsOneRunPerPut(int rows)
    {
        using TestQueue queue = new();
        long[] indexes = [.. Enumerable.Range(0, 16).SelectMany(_ => Put(queue, rows / 16, 1))];
        StorageCounters counters = Get(queue, indexes);
        Assert.Equal(16, counters.RunsRead);
        Assert.Equal(16, queue.Controller.SegmentsVisited);
        Assert.Equal(16, counters.ExtentsTouched);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(1024)]
    [InlineData(65536)]
    public void AShuffledGetCostsItsRunsAndNoMoreExtentsThanThereAre(int rows)
    {
        using TestQueue queue = new();
        long[] indexes = Put(queue, rows, 1);
        _random.Shuffle(indexes);
        int runs = 1 + indexes.Skip(1).Zip(indexes).Count(pair => pair.First != pair.Second + 1);
        StorageCounters counters = Get(queue, indexes);
        Assert.Equal(runs, counters.RunsRead);
        Assert.Equal(runs, queue.Controller.SegmentsVisited);
        Assert.Equal(1, counters.ExtentsTouched);
        // Many small stretches are gathered, not sent one by one.
        Assert.Equal(1, counters.SegmentsSent);
    }

    [Fact]
    public void AFetchLooksAtNoMoreWordsWhenThePartitionHasManyMoreRows()
    {
        long few = WordsOfAFetch(rows: 4_096), many = WordsOfAFetch(rows: 1 << 17);
        Assert.Equal(few, many);
    }

    [Fact]
    public void AFetchLooksAtNoMoreWordsWhenThePartitionGetsOld()
    {
        using TestQueue queue = new();
        long first = 0, last = 0;
        for (int step = 0; step < 200; step++)
        {
            queue.PutKeys("p", TestQueue.Keys($"s{step}_", 256), TestColumn.Dense(_random, "x", DType.UInt8, 256));
            long before = queue.Controller.Find("p")!.VisitedWords;
            Assert.True(queue.State.TryFetch(new FetchQuery("p", "t", ["x"], 256), out _));
            last = queue.Controller.Find("p")!.VisitedWords - before;
            first = step == 0 ? last : first;
            // A few steps in flight; those of three steps are cleared last first.
            if (step >= 6)
                queue.State.Apply(new TransferQueue.Records.ClearKeysRecord("p", [.. TestQueue.Keys($"s{(step / 3 - 2) * 3 + 2 - step % 3}_", 256)]));
        }
        Assert.True(queue.Controller.RowCount <= 9 * 256, $"{queue.Controller.RowCount} rows in flight");
        Assert.True(last <= 16 * first, $"a fetch looked at {first} words first, at {last} after 200 steps");
    }

    [Theory]
    [InlineData(1_000)]
    [InlineData(1_000_000)]
    public void WhatAGetAndAFetchLookAtDependsOnTheRowsAskedForAlone(int stored)
    {
        const int Asked = 256, PutRows = 1000;
        using TestQueue queue = new();
        TestColumn column = TestColumn.Dense(_random, "c0", DType.UInt8, PutRows);
        for (int put = 0; put < stored / PutRows; put++)
            queue.Put(TestQueue.New("p", PutRows), column);
        long[] indexes = [.. Enumerable.Range(0, Asked).Select(_ => (long)_random.Next(stored))];

        queue.Controller.PlanReadRows(queue.Select("p", indexes), default);
        Assert.InRange(queue.Controller.SegmentsVisited, 1, Asked); // each row's own, at most
        Assert.True(queue.State.TryFetch(new FetchQuery("p", "t", ["c0"], Asked), out _));
        Assert.InRange(queue.Controller.VisitedWords, 1, 2 * ReadinessBitmap.BlockWords);
    }

    private long WordsOfAFetch(int rows)
    {
        using TestQueue queue = new();
        Put(queue, rows, 1);
        Assert.True(queue.State.TryFetch(new FetchQuery("p", "t", ["c0"], 64), out _));
        return queue.Controller.Find("p")!.VisitedWords;
    }

    private long[] Put(TestQueue queue, int rows, int columns)
    {
        TestColumn[] all =
        [
            TestColumn.Dense(_random, "c0", DType.Int16, rows),
            TestColumn.Dense(_random, "c1", DType.Float32, rows, 2),
            TestColumn.Jagged(_random, "c2", DType.UInt8, [.. Enumerable.Range(0, rows).Select(row => row % 5)], -1),
        ];
        FoundRows[] found = queue.Put(TestQueue.New("p", rows), all[..columns]);
        return [.. found[0].Slots.Select(found[0].Partition.Index)];
    }

    private static StorageCounters Get(TestQueue queue, long[] indexes)
    {
        ReadPlan plan = queue.Controller.PlanReadRows(queue.Select("p", indexes), default);
        ReadLease lease = queue.Storage.Lease(plan.Rows, plan.Columns);
        using (queue.Storage.Read(lease))
            queue.Storage.Return(lease);
        return queue.Storage.Counters;
    }
}

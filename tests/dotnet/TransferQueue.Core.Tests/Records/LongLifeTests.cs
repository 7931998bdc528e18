using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>Alone in the process, since the managed heap is counted.</summary>
[CollectionDefinition(nameof(LongLifeTests), DisableParallelization = true)]
public sealed class LongLifeCollection;

/// <summary>A queue that has lived through a thousand steps is as large as after the first hundred.</summary>
[Collection(nameof(LongLifeTests))]
public sealed class LongLifeTests
{
    private const int Rows = 64;

    /// <summary>An object per step would be 900 × 24 bytes; what the runtime keeps for itself wavers by less than that.</summary>
    private const long WaveringBytes = 16 << 10;

    [Fact]
    public void StepsOfPutFetchGetAndClearLeaveNothingBehind() => AssertNothingIsLeftBehind(step => "p");

    [Fact]
    public void PartitionsThatComeAndGoLeaveNothingBehind() => AssertNothingIsLeftBehind(step => $"p{step}");

    private static void AssertNothingIsLeftBehind(Func<int, string> partition)
    {
        using TestQueue queue = new();
        Random random = new(5);
        for (int step = 0; step < 100; step++)
            Step(queue, random, partition(step), step);
        (long heap, long committed) = (GC.GetTotalMemory(forceFullCollection: true), queue.Storage.CommittedBytes);
        for (int step = 100; step < 1000; step++)
            Step(queue, random, partition(step), step);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - heap, long.MinValue, WaveringBytes);
        Assert.Equal(committed, queue.Storage.CommittedBytes);
        Assert.Equal(0, queue.Storage.UsedBytes);
        Assert.Equal(0, queue.Controller.RowCount);
        Assert.Empty(queue.Controller.Partitions);
    }

    private static void Step(TestQueue queue, Random random, string partition, int step)
    {
        string[] keys = TestQueue.Keys($"s{step % 7}_", Rows);
        queue.PutKeys(partition, keys, TestColumn.Dense(random, "x", DType.Float32, Rows, 1 + step % 5), TestColumn.Text("t", keys));
        Assert.True(queue.State.TryFetch(new FetchQuery(partition, "task", ["x"], Rows), out _));
        queue.Get(partition, keys);
        queue.State.Apply(new ClearKeysRecord(partition, [.. keys]));
        queue.State.Apply(new ClearPartitionRecord(partition));
        queue.Log.Clear();
    }
}

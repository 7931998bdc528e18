using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class ReplayTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(3, 3)]
    [InlineData(4, 2)]
    public void ARandomRunAgreesWithTheModelAndItsRecordsLeadToAnEqualState(int seed, int units)
    {
        using TestQueue queue = new(units);
        RandomRun run = new(queue, seed);
        for (int step = 0; step < 2500; step++)
        {
            run.Step();
            if (step % 50 == 0)
                run.AssertAgrees();
        }
        run.AssertAgrees();
        Assert.True(run.Refused > 0, "the run never met a refusal");
        string digest = StateDigest.Of(queue.State);
        Assert.Equal(digest, StateDigest.Of(queue.Replay()));
        Assert.Contains("consumed:", digest);
    }

    [Fact]
    public void PreAllocatedRowsReplayToo()
    {
        using TestQueue queue = new(preAllocate: 3);
        queue.State.Insert("p", 2, ["x"]);
        queue.PutKeys("q", TestQueue.Keys("k", 5), TestColumn.Text("t", "a", "b", "c", "d", "e"));
        Assert.Equal(StateDigest.Of(queue.State), StateDigest.Of(queue.Replay()));
    }

    [Fact]
    public void AnEmptiedQueueHoldsNoMemory()
    {
        using TestQueue queue = new(units: 2);
        RandomRun run = new(queue, 99);
        for (int step = 0; step < 500; step++)
            run.Step();
        foreach (string name in queue.Controller.Partitions.Select(partition => partition.Name).ToList())
            queue.State.Apply(new TransferQueue.Records.ClearPartitionRecord(name));
        Assert.Equal(0, queue.Storage.UsedBytes);
        Assert.Equal(0, queue.Storage.LeaseCount);
        Assert.Equal(0, queue.Controller.RowCount);
    }
}

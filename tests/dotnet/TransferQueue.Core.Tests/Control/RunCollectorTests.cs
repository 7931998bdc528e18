using TransferQueue.Columns;
using TransferQueue.Tests.Records;
using Xunit;

namespace TransferQueue.Tests.Control;

public sealed class RunCollectorTests
{
    [Fact]
    public void FieldsThatWerePutTogetherAreSearchedOnce()
    {
        using TestQueue queue = new();
        Random random = new(2);
        string[] keys = TestQueue.Keys("k", 500);
        foreach (string key in keys)
            queue.PutKeys("p", [key], [.. Enumerable.Range(0, 8).Select(i => TestColumn.Dense(random, $"f{i}", DType.Int32, 1))]);
        random.Shuffle(keys);
        queue.Controller.PlanReadKeys("p", [.. keys], ["f0"]);
        long one = queue.Controller.SegmentSearches;
        Assert.InRange(one, 400, 500);
        queue.Controller.PlanReadKeys("p", [.. keys], default);
        Assert.Equal(one, queue.Controller.SegmentSearches - one);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void FieldsTogetherGiveWhatEachGivesAlone(int seed)
    {
        using TestQueue queue = new();
        Random random = new(seed);
        string[] all = TestQueue.Keys("k", 60);
        queue.PutKeys("p", all, Columns(random, 60, 3));
        for (int step = 0; step < 60; step++)
        {
            string[] some = [.. all.OrderBy(_ => random.Next()).Take(random.Next(1, 20)).Order(StringComparer.Ordinal)];
            queue.PutKeys("p", some, Columns(random, some.Length, random.Next(1, 4)));
            string[] wanted = [.. Enumerable.Range(0, 80).Select(_ => all[random.Next(60)])];
            var together = queue.Get("p", wanted);
            foreach (string field in together.Keys)
                Assert.Equal(queue.Get("p", wanted, field)[field].Select(cell => cell.ToString()), together[field].Select(cell => cell.ToString()));
        }
    }

    /// <summary>Often the same columns, so that fields lie alike; sometimes fewer, so that they don't.</summary>
    private static TestColumn[] Columns(Random random, int rows, int count) =>
        [.. Enumerable.Range(0, count).Select(i => TestColumn.Dense(random, $"f{i}", DType.Int16, rows, 2))];
}

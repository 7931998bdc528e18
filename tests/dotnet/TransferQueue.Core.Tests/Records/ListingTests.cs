using System.Collections.Immutable;
using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class ListingTests : IDisposable
{
    private readonly TestQueue _queue = new();

    public void Dispose() => _queue.Dispose();

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public void ClientsThatAskForChangesNowAndThenSeeWhatAFullListingHas(int seed)
    {
        RandomRun run = new(_queue, seed);
        Random random = new(seed);
        ListingReplica[] clients = [new(_queue), new(_queue), new(_queue)];
        for (int step = 0; step < 1200; step++)
        {
            run.Step();
            // The first often, the last rarely.
            ListingReplica client = clients[random.Next(100) switch { < 50 => 0, < 60 => 1, < 62 => 2, _ => 0 }];
            client.CatchUp();
            client.AssertAgrees();
        }
        Assert.All(clients, client => Assert.True(client.Deltas > 0, "never only the changes"));
    }

    [Fact]
    public void AListingOfChangesTakesOutWhatWentAndAppendsWhatCameInTheOrderOfItsKeys()
    {
        Tag(["a", "b", "c"], "{\"n\":1}");
        long since = List().Version;
        Tag(["d", "e"], "{}");
        Tag(["b"], "{\"m\":3}");
        Tag(["d"], "{\"n\":2}");
        _queue.State.Apply(new ClearKeysRecord("p", ["a"]));
        PartitionListing changes = List(since);
        Assert.Equal(["a"], changes.Removed!.Value.Unpack());
        Assert.Equal([("b", "{\"n\":1,\"m\":3}"), ("d", "{\"n\":2}"), ("e", "{}")], ListingReplica.Rows(changes));
        PartitionListing none = List(changes.Version);
        Assert.Equal((0, 0, changes.Version), (none.Keys.Count, none.Removed!.Value.Count, none.Version));
    }

    [Fact]
    public void AKeyThatWentAndCameAgainIsInBothLists()
    {
        Tag(["a", "b"], "{\"n\":1}");
        long since = List().Version;
        _queue.State.Apply(new ClearKeysRecord("p", ["a"]));
        Tag(["a"], "{}");
        PartitionListing changes = List(since);
        Assert.Equal(["a"], changes.Removed!.Value.Unpack());
        Assert.Equal([("a", "{}")], ListingReplica.Rows(changes));
    }

    [Fact]
    public void WhatChangesNoKeyAndNoTagIsNoChange()
    {
        Tag(["a", "b"], "{\"n\":1}");
        long since = List().Version;
        Tag(["a"], "{\"n\":1}");
        Tag(["b"], "{}");
        _queue.PutKeys("p", ["a"], TestColumn.Text("t", "x"));
        _queue.Put(TestQueue.New("p", 1), TestColumn.Text("t", "x"));
        Assert.Equal(since, List().Version);
        Assert.Equal(0, List(since).Keys.Count);
    }

    [Fact]
    public void AVersionThatIsNotThePartitionsGetsEverything()
    {
        Tag(["a"], "{}");
        long since = List().Version;
        foreach (long other in new[] { 0, since - 2, since + 1, -1, long.MinValue, long.MaxValue })
            Assert.Null(List(other).Removed);
        _queue.State.Apply(new ClearPartitionRecord("p"));
        Tag(["b"], "{}");
        Assert.Null(List(since).Removed);
        Assert.Equal(["b"], List(since).Keys.Unpack());
    }

    [Fact]
    public void RemovalsAreForgottenWhereAllKeysAreTheShorterAnswer()
    {
        string[] keys = TestQueue.Keys("k", KeyChanges.FewestRemovals * 3);
        Tag(keys, "{}");
        long before = List().Version;
        _queue.State.Apply(new ClearKeysRecord("p", [.. keys[..KeyChanges.FewestRemovals]]));
        Assert.Equal(KeyChanges.FewestRemovals, List(before).Removed!.Value.Count);
        long between = List().Version;
        _queue.State.Apply(new ClearKeysRecord("p", [.. keys[KeyChanges.FewestRemovals..^1]]));
        Assert.Null(List(before).Removed);
        Assert.Null(List(between).Removed);
        Tag(keys, "{}");
        Assert.Null(List(between).Removed);
        long last = List().Version;
        _queue.State.Apply(new ClearKeysRecord("p", [keys[7]]));
        Assert.Equal([keys[7]], List(last).Removed!.Value.Unpack());
    }

    [Theory]
    [InlineData(100)]
    [InlineData(20000)]
    public void AListingOfChangesCostsAsMuchAsThereAreChangesHoweverManyKeys(int keys)
    {
        string[] names = [.. Enumerable.Range(0, keys).Select(i => $"key-{i:D6}")];
        Tag(names, "{\"n\":100000}");
        long since = List().Version;
        foreach (string name in names[5..15])
            Tag([name], "{\"n\":100001}");
        Partition partition = _queue.Controller.Find("p")!;
        long visited = partition.VisitedChanges;
        PartitionListing changes = List(since);
        Assert.Equal(10, partition.VisitedChanges - visited);
        int bytes = new ListReply([new ListedPartition("p", changes.Version, changes.Keys, changes.Tags, changes.Removed)]).ToHeader().Length;
        Assert.InRange(bytes, 10 * (6 + 10), 10 * (8 + 10) + 80);
    }

    private PartitionListing List(long? since = null) =>
        Assert.Single(_queue.Controller.List("p", since is { } version ? ImmutableDictionary<string, long>.Empty.Add("p", version) : null));

    private void Tag(string[] keys, string tag) => _queue.Put(TestQueue.ByKeys("p", keys, [.. Enumerable.Repeat(tag, keys.Length)]));
}

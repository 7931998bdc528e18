using TransferQueue.Columns;
using TransferQueue.Protocol;
using TransferQueue.Tests.Records;
using Xunit;

namespace TransferQueue.Tests.Hosting;

/// <summary>
/// Managed bytes that the core's thread allocates for one request, once it is warm. What is left is named at each bound; a
/// bound is what was measured and a little more, so that a new allocation per request is seen.
/// </summary>
public sealed class AllocationTests : IDisposable
{
    private const int Requests = 1000;
    private readonly TestCore _core = new();
    private readonly TestCoreClient _client;

    public AllocationTests() => _client = new TestCoreClient(_core, 1) { Acknowledges = true };

    public void Dispose()
    {
        _client.Dispose();
        _core.Dispose();
    }

    [Fact]
    public void APingAllocatesNothing() => AssertBytes(0, PlainRequest.Ping);

    /// <summary>Left: the request and its array of names, the reply, two delegates.</summary>
    [Fact]
    public void ACheckAllocatesItsRequestAndItsReply()
    {
        Put("x", "a");
        AssertBytes(240, new ProductionStatusRequest("p", ["x"], Check: true));
    }

    /// <summary>Left: the request, the reply and what the controller found, however many rows there are.</summary>
    [Fact]
    public void AStatusAllocatesNothingPerRow()
    {
        _client.Ask(new MetaRequest("many", ["x"], 20_000, MetaMode.Insert, null, null));
        AssertBytes(500, new ConsumptionStatusRequest("many", "t", Check: false));
        AssertBytes(500, new ProductionStatusRequest("many", ["x"], Check: false));
    }

    /// <summary>Left: the request with its key, the record, its plan and its answer, which is kept until the client has it.</summary>
    [Fact]
    public void ATagPutOfOneRowAllocatesItsRecordAndItsAnswer() => AssertBytes(1100, Tag("a"));

    [Fact]
    public void ATagPutOfOneRowCostsTheSameHoweverManyRowsThereAre()
    {
        string[] keys = TestQueue.Keys("k", 100_000);
        _client.Ask(TestQueue.ByKeys("p", keys, [.. Enumerable.Repeat("{}", keys.Length)]));
        AssertBytes(1100, Tag(keys[^1]));
    }

    /// <summary>Left: the request, the plan, the lease, and the making of the reply's frames.</summary>
    [Fact]
    public void AGetOfOneFieldAllocatesItsPlanAndItsFrames()
    {
        Put("x", "a");
        AssertBytes(3100, new GetRequest("p", ["a"], null, ["x"], false));
    }

    /// <summary>Left: as of a tag put; the reservation of the column's room, the stored column and its block.</summary>
    [Fact]
    public void APutOfOneFieldAllocatesItsReservationAndItsColumn() => AssertBytes(4300, One("x", "a"), (new byte[12], 0, 12));

    private static PutRequest Tag(string key) => TestQueue.ByKeys("p", [key], "{\"status\":\"running\"}") with { Want = PutWant.Kv };

    private static PutRequest One(string field, string key) =>
        TestQueue.ByKeys("p", [key]) with { Columns = [new ColumnDescriptor(field, new ColumnLayout(ColumnKind.Dense, DType.Float32, [3]))], Want = PutWant.Kv };

    private void Put(string field, string key) => _client.Ask(One(field, key), frames: (new byte[12], 0, 12));

    private void AssertBytes(long most, Request request, params (byte[]? Bytes, ulong Place, long Length)[] frames)
    {
        for (int i = 0; i < 200; i++)
            _client.Ask(request, frames: frames);
        long empty = Allocated(), before = Allocated();
        long statistics = before - empty;
        for (int i = 0; i < Requests; i++)
            _client.Ask(request, frames: frames);
        double each = (Allocated() - before - statistics) / (double)Requests;
        // The statistics themselves, what is shared by all requests (a dictionary that grows) and the 8 KiB that a thread takes from the heap at
        // a time, of which a collection counts the unused rest, are no byte per request. The smallest object has 24.
        Assert.InRange(each, -10, most + 10);
    }

    private long Allocated() => _client.Stat("managed_bytes_by_writer");
}

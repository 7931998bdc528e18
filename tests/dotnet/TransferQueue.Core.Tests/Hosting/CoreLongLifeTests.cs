using TransferQueue.Columns;
using TransferQueue.Protocol;
using TransferQueue.Tests.Records;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Hosting;

/// <summary>A core that has answered for a thousand steps keeps as much as after the first hundred, with all that it remembers of its clients.</summary>
[Collection(nameof(LongLifeTests))]
public sealed class CoreLongLifeTests : IDisposable
{
    private const int Rows = 32;

    /// <summary>An object per step would be 900 × 24 bytes; what the runtime keeps for itself wavers by less than that.</summary>
    private const long WaveringBytes = 16 << 10;

    private readonly TestCore _core = new();
    private readonly TestCoreClient _client;
    private readonly TestColumn _column = TestColumn.Dense(new Random(3), "x", DType.UInt8, Rows, 2048);

    public CoreLongLifeTests()
    {
        _client = _core.Connect();
        _client.Acknowledges = true; // as real clients do: answers that they have are forgotten
        _client.MapOnce();
    }

    public void Dispose()
    {
        _client.Dispose();
        _core.Dispose();
    }

    [Fact]
    public void StepsOfLoanPutFetchViewReleaseAndClearLeaveNothingBehind()
    {
        Steps(100);
        long heap = Heap(), committed = _client.Stat("bytes_committed");
        Steps(900);
        Assert.InRange(Heap() - heap, long.MinValue, WaveringBytes);
        Assert.Equal(committed, _client.Stat("bytes_committed"));
        foreach (string name in new[] { "bytes_used", "leases", "client_leases", "loans", "bytes_on_loan", "rows", "room_waiting", "fetches_waiting" })
            Assert.Equal(0, _client.Stat(name));
    }

    private static long Heap()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return GC.GetTotalMemory(forceFullCollection: true);
    }

    private void Steps(int count)
    {
        byte[] frame = _column.Frame();
        string[] keys = TestQueue.Keys("k", Rows);
        for (int step = 0; step < count; step++)
        {
            ulong place = ReserveReply.Read(_client.Ask(new ReserveRequest([frame.Length])).Header).Places[0];
            frame.CopyTo(_client.At(place, frame.Length));
            PutRequest put = TestQueue.ByKeys("p", keys) with { Columns = [new(_column.Name, _column.Layout)] };
            _client.Ask(put, PreludeFlags.None, 0, (null, place, frame.Length));
            _client.Ask(new MetaRequest("p", ["x"], Rows, MetaMode.Fetch, "task", null));
            ulong lease = _client.Ask(new GetRequest("p", [.. keys], null, ["x"], false), PreludeFlags.Shared).Lease;
            _client.Ask(new ReleaseRequest([lease]));
            _client.Ask(new ClearPartitionRequest("p"));
        }
    }
}

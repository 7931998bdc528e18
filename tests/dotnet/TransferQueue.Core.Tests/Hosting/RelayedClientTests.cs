using TransferQueue.Columns;
using TransferQueue.Protocol;
using TransferQueue.Tests.Records;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Hosting;

/// <summary>A connection of the gateway, as the core sees it: it reads shared memory for a client on another host, and has no other part in it.</summary>
public sealed class RelayedClientTests : IDisposable
{
    private const int Rows = 64;

    private readonly TestCore _core = new();
    private readonly TestCoreClient _local;
    private readonly TestColumn _column = TestColumn.Dense(new Random(5), "x", DType.UInt8, Rows, 4096);

    public RelayedClientTests()
    {
        _local = _core.Connect(client: 9);
        byte[] frame = _column.Frame();
        PutRequest put = TestQueue.ByKeys("p", TestQueue.Keys("k", Rows)) with { Columns = [new(_column.Name, _column.Layout)] };
        _local.Ask(put, frames: (frame, FramePlace.Inline, frame.Length));
    }

    public void Dispose()
    {
        _local.Dispose();
        _core.Dispose();
    }

    [Fact]
    public void ItIsNotToldOfSharedMemoryAndGetsNoRoomFilesOrPins()
    {
        using TestCoreClient relayed = _core.ConnectRelayed();
        Assert.False(relayed.Hello.Shared);
        foreach (Request request in new Request[] { new ReserveRequest([1 << 20]), new MemoryRequest(0), new PinRequest([1]) })
            Assert.Throws<InvalidArgumentException>(() => relayed.Ask(request));
        Assert.Equal(0, _local.Stat("loans"));
    }

    [Fact]
    public void ItsGetIsAnsweredWithPlacesAndTheLeaseIsGivenBack()
    {
        using TestCoreClient relayed = _core.ConnectRelayed();
        TestCoreClient.Answer answer = Get(relayed);
        _local.MapOnce();
        Assert.True(_local.At(answer.Places[0], answer.Lengths[0]).SequenceEqual(_column.Frame()));
        Assert.Equal(1, _local.Stat("client_leases"));
        relayed.Ask(new ReleaseRequest([answer.Lease]));
        Assert.Equal(0, _local.Stat("client_leases"));
    }

    [Fact]
    public void ItsLeasesEndWithItsConnectionThoughItsClientHasAnother()
    {
        using TestCoreClient other = _core.ConnectRelayed();
        TestCoreClient relayed = _core.ConnectRelayed();
        Get(relayed);
        Get(other);
        _local.Ask(new ClearPartitionRequest("p"));
        Assert.Equal(2, _local.Stat("client_leases"));
        relayed.Dispose();
        Wait(() => _local.Stat("client_leases") == 1);
        Assert.NotEqual(0, _local.Stat("bytes_used"));
        other.Dispose();
        Wait(() => _local.Stat("client_leases") == 0);
        Assert.Equal(0, _local.Stat("bytes_used"));
    }

    [Fact]
    public void AnotherConnectionsLeaseIsNotItsToGiveBack()
    {
        using TestCoreClient one = _core.ConnectRelayed(), other = _core.ConnectRelayed();
        TestCoreClient.Answer answer = Get(one);
        other.Ask(new ReleaseRequest([answer.Lease]));
        Assert.Equal(1, _local.Stat("client_leases"));
    }

    private static TestCoreClient.Answer Get(TestCoreClient client) =>
        client.Ask(new GetRequest("p", [.. TestQueue.Keys("k", Rows)], null, ["x"], false), PreludeFlags.Shared);

    private static void Wait(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(20)), "it did not happen");
}

using TransferQueue.Columns;
using TransferQueue.Protocol;
using TransferQueue.Tests.Records;
using TransferQueue.Tests.Transport;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Hosting;

/// <summary>Placed puts, views and gathered results, loans and leases, over a real socket and real shared memory.</summary>
public sealed class SharedMemoryTests : IDisposable
{
    private const int Rows = 64;

    private readonly Random _random = new(5);
    private readonly TestCore _core = new();
    private readonly TestCoreClient _client;

    public SharedMemoryTests()
    {
        _client = _core.Connect();
        Assert.True(_client.Hello.Shared);
    }

    public void Dispose()
    {
        _client.Dispose();
        _core.Dispose();
    }

    [Fact]
    public void AColumnThatWasPutInPlaceIsLookedAtWhereItLies()
    {
        TestColumn column = Dense("x");
        ulong place = Put(_client, "p", column);
        var answer = Get(_client, "p", ["x"]);
        Assert.Equal([place], answer.Places);
        Assert.NotEqual(0UL, answer.Lease);
        Assert.True(_client.At(place, answer.Lengths[0]).SequenceEqual(column.Frame()));
        Assert.Equal((0, column.Frame().Length, 0, 1), (
            _client.Stat("loans"), _client.Stat("bytes_viewed"), _client.Stat("bytes_gathered"), _client.Stat("client_leases")));
    }

    [Fact]
    public void AViewKeepsItsBytesUntilItsLeaseIsGivenBack()
    {
        TestColumn column = Dense("x");
        ulong place = Put(_client, "p", column);
        var answer = Get(_client, "p", ["x"]);
        _client.Ask(new ClearPartitionRequest("p"));
        Put(_client, "q", Dense("x"));
        Assert.True(_client.At(place, answer.Lengths[0]).SequenceEqual(column.Frame()));
        _client.Ask(new ClearPartitionRequest("q"));
        Assert.True(_client.Stat("bytes_used") > 0);
        _client.Ask(new ReleaseRequest([answer.Lease]));
        _client.Ask(new ReleaseRequest([answer.Lease]));
        Assert.Equal((0, 0), (_client.Stat("bytes_used"), _client.Stat("leases")));
    }

    [Fact]
    public void RowsOfSeveralPutsAreGatheredOnceInAnExtentOfTheLease()
    {
        TestColumn first = Dense("x"), second = Dense("x");
        Put(_client, "p", first, "a");
        Put(_client, "p", second, "b");
        string[] keys = [.. TestQueue.Keys("b", Rows), .. TestQueue.Keys("a", Rows)];
        var answer = _client.Ask(new GetRequest("p", [.. keys], null, ["x"], false), PreludeFlags.Shared);
        Assert.NotEqual(FramePlace.Inline, Assert.Single(answer.Places));
        Assert.True(_client.At(answer.Places[0], answer.Lengths[0]).SequenceEqual([.. second.Frame(), .. first.Frame()]));
        long used = _client.Stat("bytes_used");
        Assert.Equal(answer.Lengths[0], _client.Stat("bytes_gathered"));
        _client.Ask(new ReleaseRequest([answer.Lease]));
        Assert.Equal(used - answer.Lengths[0], _client.Stat("bytes_used"));
    }

    [Fact]
    public void APartOfAJaggedColumnHasItsOffsetsInTheMessageAndItsValuesInPlace()
    {
        TestColumn column = TestColumn.Jagged(_random, "j", DType.UInt8, [.. Enumerable.Range(0, Rows).Select(row => 4000 + row)], -1);
        Put(_client, "p", column);
        var answer = Get(_client, "p", ["j"], rows: 40);
        var reply = GetReply.Read(answer.Header, answer.Lengths);
        Assert.Equal(2, reply.Columns[0].Frames);
        Assert.Equal(FramePlace.Inline, answer.Places[0]);
        byte[] frame = [.. answer.Frames[0]!, .. _client.At(answer.Places[1], answer.Lengths[1])];
        Assert.Equal(column.Cells.Take(40).Select(cell => cell.ToString()), TestColumn.Read(frame, reply.Columns[0].Pieces).Select(cell => cell.ToString()));
    }

    [Fact]
    public void ARequestWithoutTheFlagIsAnsweredInTheMessage()
    {
        TestColumn column = Dense("x");
        Put(_client, "p", column);
        var answer = _client.Ask(new GetRequest("p", [.. TestQueue.Keys("k", Rows)], null, ["x"], false));
        Assert.Equal(0UL, answer.Lease);
        Assert.Equal(column.Frame(), answer.Frames[0]);
        Assert.Equal(0, _client.Stat("client_leases"));
    }

    [Fact]
    public void APlaceThatIsNotOnLoanToTheClientIsRefusedAndNothingChanges()
    {
        using TestCoreClient other = _core.Connect(2);
        byte[] frame = Dense("x").Frame();
        var lent = ReserveReply.Read(other.Ask(new ReserveRequest([frame.Length])).Header);
        foreach (ulong place in new[] { lent.Places[0], lent.Places[0] + 4096, 1UL << 40 })
            Assert.Throws<InvalidArgumentException>(() => _client.Ask(PutRequest("p", Dense("x"), "k"), PreludeFlags.None, 0, (null, place, frame.Length)));
        Assert.Throws<InvalidArgumentException>(() => other.Ask(PutRequest("p", Dense("x"), "k") with { Columns = [new("x", new(ColumnKind.Dense, DType.UInt8, [1023]))] }, PreludeFlags.None, 0, (null, lent.Places[0], frame.Length - Rows)));
        Assert.Equal((1, frame.Length, 0), (_client.Stat("loans"), _client.Stat("bytes_on_loan"), _client.Stat("rows")));
        other.Ask(new ReleaseRequest(default, [(ulong)lent.Loan]));
        Assert.Equal((0, 0), (_client.Stat("loans"), _client.Stat("bytes_used")));
    }

    [Fact]
    public void APutThatIsRefusedUsesUpItsLoan()
    {
        TestColumn column = TestColumn.Jagged(_random, "j", DType.UInt8, [.. Enumerable.Repeat(4096, Rows)], -1);
        byte[] frame = column.Frame();
        frame[8] = 0xFF; // an offset beyond the values
        frame[15] = 0x7F;
        var lent = ReserveReply.Read(_client.Ask(new ReserveRequest([frame.Length])).Header);
        _client.MapOnce();
        frame.CopyTo(_client.At(lent.Places[0], frame.Length));
        Assert.Throws<ProtocolException>(() => _client.Ask(PutRequest("p", column, "k"), PreludeFlags.None, 0, (null, lent.Places[0], frame.Length)));
        Assert.Equal((0, 0, 0), (_client.Stat("loans"), _client.Stat("bytes_used"), _client.Stat("rows")));
    }

    [Fact]
    public void AWriterThatScribblesOverItsOffsetsHarmsOnlyTheReadersOfThatColumn()
    {
        TestColumn column = TestColumn.Jagged(_random, "j", DType.UInt8, [.. Enumerable.Repeat(4096, Rows)], -1), good = Dense("x");
        ulong place = Put(_client, "p", column);
        Put(_client, "p", good);
        Span<byte> head = _client.At(place, (Rows + 1) * 8);
        for (int round = 0; round < 200; round++)
        {
            _random.NextBytes(head);
            if (round % 3 == 0)
                for (int i = 6; i < head.Length; i += 8)
                    head[i] = head[i + 1] = head[i - 1] = 0; // small numbers
            int rows = 1 + _random.Next(Rows);
            try
            {
                var answer = Get(_client, "p", ["j"], rows, round % 2 == 0 ? PreludeFlags.Shared : PreludeFlags.None);
                GetReply.Read(answer.Header, answer.Lengths);
                if (answer.Lease != 0)
                    _client.Ask(new ReleaseRequest([answer.Lease]));
            }
            catch (ProtocolException error)
            {
                Assert.Contains("written over its offsets", error.Message);
            }
        }
        Assert.Equal(good.Frame(), _client.Ask(new GetRequest("p", [.. TestQueue.Keys("k", Rows)], null, ["x"], false)).Frames[0]);
        Assert.Equal((0, 0), (_client.Stat("faults"), _client.Stat("leases")));
    }

    [Fact]
    public void AReservationWaitsForRoomThatAnotherClientFrees()
    {
        using TestCoreClient other = _core.Connect(2);
        var lent = ReserveReply.Read(other.Ask(new ReserveRequest([40 << 20])).Header);
        _client.Send(new ReserveRequest([40 << 20]), timeout: 20_000);
        TestClient.Until(() => other.Stat("room_waiting") == 1, "the second reservation waits");
        other.Ask(new ReleaseRequest(default, [(ulong)lent.Loan]));
        Assert.True(ReserveReply.Read(_client.Receive().Header).Loan > lent.Loan);
    }

    [Fact]
    public void AReservationThatFindsNoRoomInTimeNamesWhoHasIt()
    {
        using TestCoreClient other = _core.Connect(2);
        other.Ask(new ReserveRequest([40 << 20]));
        var error = Assert.Throws<StorageFullException>(() => _client.Ask(new ReserveRequest([40 << 20]), timeout: 50));
        Assert.Contains($"on loan to puts {40 << 20} (process {Environment.ProcessId}: {40 << 20})", error.Message);
        Assert.Contains("at once", Assert.Throws<StorageFullException>(() => _client.Ask(new ReserveRequest([65 << 20]))).Message);
    }

    [Fact]
    public async Task APutInTheMessageWaitsForRoomAndOthersAreServedMeanwhile()
    {
        using TestCoreClient other = _core.Connect(2);
        var lent = ReserveReply.Read(other.Ask(new ReserveRequest([60 << 20])).Header);
        TestColumn column = TestColumn.Dense(_random, "x", DType.UInt8, 8, 1 << 20);
        Task sending = Task.Run(() => _client.Send(PutRequest("p", column, "k"), timeout: 60_000, frames: (column.Frame(), 0, 0)), TestContext.Current.CancellationToken);
        TestClient.Until(() => other.Stat("room_waiting") == 1, "the put waits");
        other.Ask(PlainRequest.Ping);
        other.Ask(new ReleaseRequest(default, [(ulong)lent.Loan]));
        await sending;
        _client.Receive();
        Assert.Equal(8, _client.Stat("rows"));
    }

    [Fact]
    public void LoansOfAClientWithoutConnectionsAreQuarantinedUntilItComesBack()
    {
        TestCoreClient other = _core.Connect(2);
        var lent = ReserveReply.Read(other.Ask(new ReserveRequest([1 << 20])).Header);
        other.Dispose();
        TestClient.Until(() => _client.Stat("bytes_quarantined") == 1 << 20, "the loan is quarantined");
        using TestCoreClient again = _core.Connect(2);
        Assert.Equal(0, _client.Stat("bytes_quarantined"));
        again.Ask(new ReleaseRequest(default, [(ulong)lent.Loan]));
        Assert.Equal(0, _client.Stat("loans"));
    }

    [Fact]
    public void APinnedLeaseLastsUntilNobodyHasThePipe()
    {
        Put(_client, "p", Dense("x"));
        var answer = Get(_client, "p", ["x"]);
        int[] fds = _client.Ask(new PinRequest([answer.Lease, 99])).Fds;
        _client.Ask(new ReleaseRequest([answer.Lease]));
        _client.Ask(new ClearPartitionRequest("p"));
        Assert.Equal((1, 1), (_client.Stat("client_leases"), _client.Stat("leases_pinned")));
        UnixSocket.Close(Assert.Single(fds));
        TestClient.Until(() => _client.Stat("client_leases") == 0, "the pin ends");
        Assert.Equal((0, 0), (_client.Stat("bytes_used"), _client.Stat("leases_pinned")));
    }

    [Fact]
    public void AnAnswerThatNobodyWillReadHasNoLeaseLeft()
    {
        Put(_client, "p", Dense("x"));
        Get(_client, "p", ["x"]);
        _client.Ask(new ReleaseRequest(default, default, [_client.LastRequest]));
        Assert.Equal(0, _client.Stat("client_leases"));
        _client.Ask(new ReleaseRequest(default, default, [_client.LastRequest + 2]));
        Assert.Equal(0UL, Get(_client, "p", ["x"]).Lease);
    }

    private TestColumn Dense(string name) => TestColumn.Dense(_random, name, DType.UInt8, Rows, 1024);

    private static PutRequest PutRequest(string partition, TestColumn column, string prefix) =>
        TestQueue.ByKeys(partition, TestQueue.Keys(prefix, column.Cells.Length)) with { Columns = [new(column.Name, column.Layout)] };

    /// <summary>Puts a column in place; returns the place.</summary>
    private static ulong Put(TestCoreClient client, string partition, TestColumn column, string prefix = "k")
    {
        byte[] frame = column.Frame();
        ulong place = ReserveReply.Read(client.Ask(new ReserveRequest([frame.Length])).Header).Places[0];
        client.MapOnce();
        frame.CopyTo(client.At(place, frame.Length));
        client.Ask(PutRequest(partition, column, prefix), PreludeFlags.None, 0, (null, place, frame.Length));
        return place;
    }

    private static TestCoreClient.Answer Get(
        TestCoreClient client, string partition, string[] fields, int rows = Rows, PreludeFlags flags = PreludeFlags.Shared) =>
        client.Ask(new GetRequest(partition, [.. TestQueue.Keys("k", rows)], null, [.. fields], false), flags);
}

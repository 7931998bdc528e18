using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;
using TransferQueue.Protocol;
using TransferQueue.Tests.Records;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Hosting;

/// <summary>Random lives of loans, puts, leases and clears of two clients, over real sockets and real memory, against dictionaries.</summary>
public sealed class SharedMemoryModelTests
{
    private const int KeyCount = 96;
    private const int MostRows = 24;

    [Fact]
    public void RandomLivesOfLoansAndLeasesReadWhatWasPutAndGiveAllBack()
    {
        var lives = Gen.ArrayOf(Gen.Choose(0, int.MaxValue));
        Prop.ForAll(lives.Resize(120).ToArbitrary(), choices =>
        {
            using Life life = new();
            foreach (int choice in choices)
                life.Step(new Random(choice));
            life.End();
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(40));
    }

    private sealed class Life : IDisposable
    {
        private readonly TestCore _core = new();
        private readonly TestCoreClient[] _clients;
        private readonly Dictionary<string, Cell> _rows = [];
        private readonly List<(int Client, ulong Id, ulong Place, long Bytes)> _loans = [];
        private readonly List<(int Client, TestCoreClient.Answer Answer, string[] Cells)> _leases = [];

        public Life()
        {
            _clients = [_core.Connect(1), _core.Connect(2)];
            foreach (TestCoreClient client in _clients)
                client.MapOnce();
        }

        public void Step(Random random)
        {
            int client = random.Next(2);
            switch (random.Next(9))
            {
                case 0:
                    Reserve(random, client);
                    break;
                case 1 or 2:
                    Put(random, client);
                    break;
                case 3 or 4:
                    Get(random, client);
                    break;
                case 5:
                    GiveLoanBack(random);
                    break;
                case 6:
                    Release(random);
                    break;
                case 7:
                    Clear(random, client);
                    break;
                default:
                    PutWithForeignLoan(random, client);
                    break;
            }
            foreach (var lease in _leases)
                Assert.Equal(lease.Cells, Read(_clients[lease.Client], lease.Answer));
            Assert.Equal((_loans.Count, _loans.Sum(loan => loan.Bytes), _leases.Count), (
                _clients[client].Stat("loans"), _clients[client].Stat("bytes_on_loan"), _clients[client].Stat("client_leases")));
        }

        /// <summary>Nothing is left when everybody has given back and cleared.</summary>
        public void End()
        {
            Random random = new(1);
            while (_loans.Count > 0)
                GiveLoanBack(random);
            _clients[0].Ask(new ClearPartitionRequest("p"));
            foreach (var lease in _leases)
                Assert.Equal(lease.Cells, Read(_clients[lease.Client], lease.Answer));
            while (_leases.Count > 0)
                Release(random);
            Assert.Equal((0, 0, 0), (_clients[0].Stat("bytes_used"), _clients[0].Stat("leases"), _clients[0].Stat("faults")));
        }

        public void Dispose()
        {
            foreach (TestCoreClient client in _clients)
                client.Dispose();
            _core.Dispose();
        }

        private void Reserve(Random random, int client)
        {
            long bytes = (64 << 10) + random.Next(200_000);
            var lent = ReserveReply.Read(_clients[client].Ask(new ReserveRequest([bytes])).Header);
            _loans.Add((client, (ulong)lent.Loan, lent.Places[0], bytes));
            Fill(client, lent.Places[0], random, bytes); // whoever has a loan may write to it at any time
        }

        /// <summary>Writes a column in place, below 64 KiB in the message.</summary>
        private void Put(Random random, int client)
        {
            string[] keys = Keys(random);
            TestColumn column = random.Next(2) == 0
                ? TestColumn.Dense(random, "x", DType.UInt8, keys.Length, 8192)
                : TestColumn.Jagged(random, "x", DType.UInt8, [.. keys.Select(_ => random.Next(16_384))], -1);
            byte[] frame = column.Frame();
            PutRequest request = Request(keys, column);
            if (frame.Length >= 64 << 10)
            {
                ulong place = ReserveReply.Read(_clients[client].Ask(new ReserveRequest([frame.Length])).Header).Places[0];
                frame.CopyTo(_clients[client].At(place, frame.Length));
                _clients[client].Ask(request, PreludeFlags.None, 0, (null, place, frame.Length));
            }
            else
                _clients[client].Ask(request, PreludeFlags.None, 0, (frame, 0, 0));
            for (int row = 0; row < keys.Length; row++)
                _rows[keys[row]] = column.Cells[row];
        }

        private void PutWithForeignLoan(Random random, int client)
        {
            var foreign = _loans.Where(loan => loan.Client != client).ToArray();
            if (foreign.Length == 0)
                return;
            var loan = foreign[random.Next(foreign.Length)];
            PutRequest request = Request(["k0"], TestColumn.Dense(random, "x", DType.UInt8, 1, loan.Bytes));
            Assert.Throws<InvalidArgumentException>(() => _clients[client].Ask(request, PreludeFlags.None, 0, (null, loan.Place, loan.Bytes)));
        }

        private void Get(Random random, int client)
        {
            string[] keys = [.. Keys(random).Where(_rows.ContainsKey)];
            if (random.Next(3) == 0)
                random.Shuffle(keys);
            if (keys.Length == 0)
                return;
            var answer = _clients[client].Ask(new GetRequest("p", [.. keys], null, ["x"], false), PreludeFlags.Shared);
            string[] cells = [.. keys.Select(key => _rows[key].ToString())];
            Assert.Equal(cells, Read(_clients[client], answer));
            if (answer.Lease != 0)
                _leases.Add((client, answer, cells));
        }

        private void GiveLoanBack(Random random)
        {
            if (_loans.Count == 0)
                return;
            int index = random.Next(_loans.Count);
            _clients[_loans[index].Client].Ask(new ReleaseRequest(default, [_loans[index].Id]));
            _loans.RemoveAt(index);
        }

        private void Release(Random random)
        {
            if (_leases.Count == 0)
                return;
            int index = random.Next(_leases.Count);
            var (client, answer, _) = _leases[index];
            _clients[1 - client].Ask(new ReleaseRequest([answer.Lease])); // not its own: ignored
            _clients[client].Ask(new ReleaseRequest([answer.Lease]));
            _leases.RemoveAt(index);
        }

        private void Clear(Random random, int client)
        {
            string[] keys = [.. Keys(random).Where(_rows.ContainsKey)];
            if (keys.Length == 0)
                return;
            _clients[client].Ask(new ClearKeysRequest("p", [.. keys]));
            foreach (string key in keys)
                _rows.Remove(key);
        }

        private void Fill(int client, ulong place, Random random, long bytes) => random.NextBytes(_clients[client].At(place, bytes));

        private static string[] Keys(Random random)
        {
            int first = random.Next(KeyCount);
            return [.. Enumerable.Range(first, 1 + random.Next(MostRows)).Select(key => $"k{key}")];
        }

        private static PutRequest Request(string[] keys, TestColumn column) =>
            TestQueue.ByKeys("p", keys) with { Columns = [new(column.Name, column.Layout)] };

        private static string[] Read(TestCoreClient client, TestCoreClient.Answer answer)
        {
            var column = Assert.Single(GetReply.Read(answer.Header, answer.Lengths).Columns);
            List<byte> frame = [];
            for (int i = 0; i < answer.Lengths.Length; i++)
                frame.AddRange(answer.Frames[i] ?? client.At(answer.Places[i], answer.Lengths[i]));
            return [.. TestColumn.Read(frame.ToArray(), column.Pieces).Select(cell => cell.ToString())];
        }
    }
}

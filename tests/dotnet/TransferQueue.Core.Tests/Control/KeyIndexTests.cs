using TransferQueue.Control;
using Xunit;

namespace TransferQueue.Tests.Control;

public sealed class KeyIndexTests
{
    private readonly KeyIndex _index = new();

    [Theory]
    [InlineData(1, 40)]
    [InlineData(2, 300)]
    [InlineData(3, 5000)]
    public void ItAgreesWithADictionary(int seed, int most)
    {
        Random random = new(seed);
        Dictionary<string, int> model = [];
        HashSet<int> taken = [];
        for (int step = 0; step < 20_000; step++)
        {
            string key = $"key-{random.Next(most)}";
            int slot = random.Next(2 * most);
            if (random.Next(3) > 0 && !taken.Contains(slot))
            {
                bool isNew = model.TryAdd(key, slot);
                Assert.Equal(isNew, _index.TryAdd(key, slot));
                if (isNew)
                    taken.Add(slot);
            }
            else if (model.Remove(key, out slot))
            {
                taken.Remove(slot);
                Assert.Equal(key, _index.Remove(slot));
            }
            if (step % 1000 == 999)
                AssertAgrees(model, most);
        }
    }

    [Fact]
    public void ManyKeysAreFoundInTheOrderAskedForAlsoRepeated()
    {
        for (int slot = 0; slot < 1000; slot++)
            Assert.True(_index.TryAdd($"k{slot}", slot));
        string[] asked = ["k999", "none", "k0", "k0", .. Enumerable.Range(0, 500).Select(i => $"k{i * 7 % 1000}"), ""];
        int[] slots = new int[asked.Length];
        _index.Find(asked, slots);
        Assert.Equal([999, -1, 0, 0, .. Enumerable.Range(0, 500).Select(i => i * 7 % 1000), -1], slots);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void KeysOfOneHashAreToldApart(bool sameLength)
    {
        var (first, second) = KeysOfOneHash(sameLength);
        Assert.True(_index.TryAdd(first, 4));
        Assert.Equal([4, -1], Find(first, second));
        Assert.True(_index.TryAdd(second, 3));
        Assert.False(_index.TryAdd(second, 5));
        Assert.Equal([4, 3], Find(first, second));
        Assert.Equal(first, _index.Remove(4));
        Assert.Equal([-1, 3], Find(first, second));
    }

    [Fact]
    public void ASlotWithoutKeyLosesNothing()
    {
        Assert.Null(_index.Remove(0));
        Assert.True(_index.TryAdd("a", 2));
        Assert.Null(_index.Remove(1));
        Assert.Null(_index[100]);
        Assert.Equal("a", _index[2]);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(300)]
    [InlineData(40_000)]
    public void TheFirstRepeatedKeyIsFound(int count)
    {
        string[] keys = [.. Enumerable.Range(0, count).Select(i => $"k{i}")];
        Assert.Equal(-1, KeyIndex.FirstRepeated(keys));
        for (int round = 0; round < 5; round++)
        {
            int later = Random.Shared.Next(1, count), earlier = Random.Shared.Next(later);
            string[] some = [.. keys];
            some[later] = new string(some[earlier]); // equal, not the same
            Assert.Equal(later, KeyIndex.FirstRepeated(some));
        }
        Assert.Equal(-1, KeyIndex.FirstRepeated([]));
        var (first, second) = KeysOfOneHash(sameLength: true);
        Assert.Equal(-1, KeyIndex.FirstRepeated([first, second]));
        Assert.Equal(2, KeyIndex.FirstRepeated([first, second, second]));
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(300_000)]
    public void ALookUpVisitsAFewPlacesHoweverManyKeysThereAre(int keys)
    {
        _index.Expect(keys);
        for (int slot = 0; slot < keys; slot++)
            Assert.True(_index.TryAdd($"k{slot}", slot));
        string[] asked = [.. Enumerable.Range(0, 1000).Select(i => $"k{i * 31 % keys}")];
        long before = _index.Visited;
        Find(asked);
        Assert.InRange(_index.Visited - before, 1000, 3000);
    }

    private int[] Find(params string[] keys)
    {
        int[] slots = new int[keys.Length];
        _index.Find(keys, slots);
        return slots;
    }

    private void AssertAgrees(Dictionary<string, int> model, int most)
    {
        string[] all = [.. Enumerable.Range(0, most).Select(i => $"key-{i}")];
        Assert.Equal(all.Select(key => model.GetValueOrDefault(key, -1)), Find(all));
        Assert.Equal(model.Count, _index.Count);
        Assert.All(model, pair => Assert.Equal(pair.Key, _index[pair.Value]));
    }

    /// <summary>The hash has 32 bits and another seed in every process: among 200,000 keys there are about five pairs.</summary>
    private static (string First, string Second) KeysOfOneHash(bool sameLength)
    {
        Dictionary<int, string> known = [];
        for (int i = 0; ; i++)
        {
            string key = sameLength ? $"{i:d9}" : new string('x', i % 2) + $"{i:d9}";
            if (known.TryAdd(key.GetHashCode(StringComparison.Ordinal), key))
                continue;
            string other = known[key.GetHashCode(StringComparison.Ordinal)];
            if (sameLength == (other.Length == key.Length))
                return (other, key);
        }
    }
}

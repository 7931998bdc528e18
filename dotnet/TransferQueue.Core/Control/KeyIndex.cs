using System.Buffers;
using System.Numerics;

namespace TransferQueue.Control;

/// <summary>Which slot has which key: an open hash table of 8 bytes per place. Writer thread only.</summary>
/// <remarks>
/// A place holds a key's hash above and its slot + 1 below, 0 where it is free. A key stands at the first free place from the one on that its hash
/// names; taking one out moves those back that stood behind it for its sake. Many keys are looked up in steps, each for all of them: nothing
/// in a step waits for another key's memory, so a processor fetches that of several keys at once. That is why a row of a million is found
/// nearly as fast as one of a thousand.
/// </remarks>
internal sealed class KeyIndex
{
    private const int FewestPlaces = 64;

    /// <summary>Keys that go through the steps together.</summary>
    private const int Abreast = 128;

    private ulong[] _places = new ulong[FewestPlaces];

    /// <summary>By slot: the key; null: none.</summary>
    private string?[] _keys = [];

    /// <summary>Keys.</summary>
    public int Count { get; private set; }

    /// <summary>Places looked at so far: a test holds it against the keys.</summary>
    public long Visited { get; private set; }

    /// <summary>The key of a slot, or null.</summary>
    public string? this[int slot] => slot < _keys.Length ? _keys[slot] : null;

    /// <summary>The slots of keys, −1 for those that no slot has.</summary>
    /// <param name="keys">The keys; repetition allowed.</param>
    /// <param name="slots">As many, overwritten.</param>
    public void Find(ReadOnlySpan<string> keys, Span<int> slots)
    {
        Span<uint> hashes = stackalloc uint[Abreast];
        for (int start = 0; start < keys.Length; start += Abreast)
        {
            int count = Math.Min(Abreast, keys.Length - start);
            FindAbreast(keys.Slice(start, count), hashes[..count], slots.Slice(start, count));
        }
    }

    /// <summary>Makes room for so many keys more at once.</summary>
    public void Expect(int more)
    {
        uint wanted = BitOperations.RoundUpToPowerOf2(2 * (uint)(Count + more));
        if (wanted <= _places.Length)
            return;
        ulong[] old = _places;
        _places = new ulong[wanted];
        int mask = _places.Length - 1;
        foreach (ulong moved in old)
        {
            if (moved == 0)
                continue;
            int place = (int)(moved >> 32) & mask;
            while (_places[place] != 0)
                place = (place + 1) & mask;
            _places[place] = moved;
        }
    }

    /// <summary>Gives a slot without key a key.</summary>
    /// <returns>False: another slot has it, and nothing was changed.</returns>
    public bool TryAdd(string key, int slot)
    {
        Expect(1);
        uint hash = Hash(key);
        int mask = _places.Length - 1;
        int place = (int)hash & mask;
        for (; _places[place] != 0; place = (place + 1) & mask)
        {
            if ((uint)(_places[place] >> 32) == hash && string.Equals(key, _keys[(uint)_places[place] - 1]))
                return false;
        }
        if (slot >= _keys.Length)
            Array.Resize(ref _keys, Math.Max(FewestPlaces, Math.Max(slot + 1, _keys.Length * 2)));
        _keys[slot] = key;
        _places[place] = (ulong)hash << 32 | (uint)(slot + 1);
        Count++;
        return true;
    }

    /// <summary>The position of the first of some keys that came before, or −1: they are distinct. Costs as much as there are keys.</summary>
    public static int FirstRepeated(ReadOnlySpan<string> keys)
    {
        int size = (int)BitOperations.RoundUpToPowerOf2(2 * (uint)keys.Length);
        ulong[] places = ArrayPool<ulong>.Shared.Rent(size);
        Array.Clear(places, 0, size);
        int mask = size - 1;
        int repeated = -1;
        for (int i = 0; i < keys.Length && repeated < 0; i++)
        {
            uint hash = Hash(keys[i]);
            int place = (int)hash & mask;
            for (; places[place] != 0; place = (place + 1) & mask)
            {
                if ((uint)(places[place] >> 32) == hash && string.Equals(keys[i], keys[(int)((uint)places[place] - 1)]))
                    repeated = i;
            }
            places[place] = (ulong)hash << 32 | (uint)(i + 1);
        }
        ArrayPool<ulong>.Shared.Return(places);
        return repeated;
    }

    /// <summary>Takes the key of a slot away.</summary>
    /// <returns>The key, or null if the slot has none.</returns>
    public string? Remove(int slot)
    {
        if (this[slot] is not { } key)
            return null;
        int mask = _places.Length - 1;
        int hole = (int)Hash(key) & mask;
        while ((uint)_places[hole] != (uint)(slot + 1))
            hole = (hole + 1) & mask;
        for (int next = (hole + 1) & mask; _places[next] != 0; next = (next + 1) & mask)
        {
            int home = (int)(_places[next] >> 32) & mask;
            if (((next - home) & mask) < ((next - hole) & mask))
                continue; // its own place lies behind the hole
            _places[hole] = _places[next];
            hole = next;
        }
        _places[hole] = 0;
        _keys[slot] = null;
        Count--;
        return key;
    }

    /// <summary>Seeded anew in every process, so that nobody can choose keys that collide.</summary>
    private static uint Hash(string key) => (uint)key.GetHashCode(StringComparison.Ordinal);

    private void FindAbreast(ReadOnlySpan<string> keys, Span<uint> hashes, Span<int> slots)
    {
        for (int i = 0; i < keys.Length; i++)
            hashes[i] = Hash(keys[i]);
        for (int i = 0; i < keys.Length; i++)
            slots[i] = FirstOfHash(hashes[i]);
        Span<bool> isAsLong = stackalloc bool[keys.Length];
        for (int i = 0; i < keys.Length; i++)
            isAsLong[i] = slots[i] >= 0 && _keys[slots[i]]!.Length == keys[i].Length;
        for (int i = 0; i < keys.Length; i++)
        {
            if (slots[i] >= 0 && !(isAsLong[i] && string.Equals(keys[i], _keys[slots[i]])))
                slots[i] = Find(keys[i], hashes[i]); // another key of the same hash
        }
    }

    /// <summary>The slot of the first key that has a hash, or −1.</summary>
    private int FirstOfHash(uint hash)
    {
        int mask = _places.Length - 1;
        for (int place = (int)hash & mask; ; place = (place + 1) & mask)
        {
            Visited++;
            ulong there = _places[place];
            if (there == 0)
                return -1;
            if ((uint)(there >> 32) == hash)
                return (int)((uint)there - 1);
        }
    }

    private int Find(string key, uint hash)
    {
        int mask = _places.Length - 1;
        for (int place = (int)hash & mask; ; place = (place + 1) & mask)
        {
            Visited++;
            ulong there = _places[place];
            if (there == 0)
                return -1;
            if ((uint)(there >> 32) == hash && string.Equals(key, _keys[(uint)there - 1]))
                return (int)((uint)there - 1);
        }
    }
}

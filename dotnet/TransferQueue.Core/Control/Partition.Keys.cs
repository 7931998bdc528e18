using System.Collections.Immutable;
using System.Runtime.InteropServices;
using TransferQueue.Columns;

namespace TransferQueue.Control;

internal sealed partial class Partition
{
    private readonly KeyIndex _keys = new();
    private readonly SlotList _keyOrder = new();
    private readonly KeyChanges _changes;

    /// <summary>The number of the last change of a key or a tag; over all partitions of the controller none comes twice.</summary>
    public long Version => _changes.Version;

    /// <summary>Changes looked at by listings so far: a test holds it against the changes that there were.</summary>
    public long VisitedChanges => _changes.Visited;

    /// <summary>Rows that have a key.</summary>
    public int KeyCount => _keys.Count;

    /// <summary>Places of the table of keys looked at so far: a test holds it against the keys asked for.</summary>
    public long VisitedPlaces => _keys.Visited;

    /// <summary>The slots of keys, −1 for those that no row has.</summary>
    public int[] SlotsOf(ImmutableArray<string> keys)
    {
        int[] slots = new int[keys.Length];
        _keys.Find(keys.AsSpan(), slots);
        return slots;
    }

    /// <summary>The key of a row, or null.</summary>
    public string? Key(int slot) => _keys[slot];

    /// <summary>Makes room for so many keys more at once.</summary>
    public void ExpectKeys(int more) => _keys.Expect(more);

    /// <summary>Gives a row without key a key that no row has.</summary>
    public void SetKey(int slot, string key)
    {
        if (!_keys.TryAdd(key, slot))
            throw new InvalidOperationException($"partition '{Name}': the key '{key}' is there already");
        _keyOrder.Add(slot);
        _changes.Add(slot);
    }

    /// <summary>The keys in the order of their first insertion, with their tags: all, or those that changed.</summary>
    /// <param name="since">A version that the caller has; null: none.</param>
    public PartitionListing List(long? since = null)
    {
        if (since is { } version && _changes.TryFind(version, KeyCount, out List<int> slots, out List<string> removed))
            return Listing(CollectionsMarshal.AsSpan(slots), PackedKeys.Pack(CollectionsMarshal.AsSpan(removed)));
        int[] all = new int[KeyCount];
        int row = 0;
        for (int slot = _keyOrder.First; slot >= 0; slot = _keyOrder.Next(slot))
            all[row++] = slot;
        return Listing(all, removed: null);
    }

    private PartitionListing Listing(ReadOnlySpan<int> slots, PackedKeys? removed)
    {
        string[] keys = new string[slots.Length];
        int bytes = 0;
        for (int i = 0; i < keys.Length; i++)
        {
            keys[i] = _keys[slots[i]]!;
            bytes = checked(bytes + (_tags[slots[i]]?.Length ?? TagCodec.Empty.Length));
        }
        byte[] tags = new byte[bytes];
        Span<byte> rest = tags;
        foreach (int slot in slots)
        {
            ReadOnlySpan<byte> tag = _tags[slot] is { } own ? own : TagCodec.Empty;
            tag.CopyTo(rest);
            rest = rest[tag.Length..];
        }
        return new PartitionListing(Name, Version, PackedKeys.Pack(keys), tags, removed);
    }

    private void RemoveKey(int slot)
    {
        if (_keys.Remove(slot) is not { } key)
            return;
        _keyOrder.Remove(slot);
        _changes.Remove(slot, key, KeyCount);
    }
}

/// <summary>The keys of a partition and their tags, encoded as they travel.</summary>
/// <param name="Partition">The name.</param>
/// <param name="Version">The partition's version.</param>
/// <param name="Keys">The keys in the order of their first insertion: all, or those that were added or got another tag.</param>
/// <param name="Tags">One MessagePack map per key, back to back.</param>
/// <param name="Removed">null: these are all keys. Else these are changes: take these keys out, then set the others.</param>
internal sealed record PartitionListing(string Partition, long Version, PackedKeys Keys, ReadOnlyMemory<byte> Tags, PackedKeys? Removed);

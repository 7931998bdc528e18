using TransferQueue.Columns;

namespace TransferQueue.Control;

internal sealed partial class Partition
{
    private readonly Dictionary<string, int> _slotOfKey = [];
    private readonly KeyOrder _keyOrder = new();

    /// <summary>By slot: the key; null: none.</summary>
    private string?[] _keys = [];

    /// <summary>Rows that have a key.</summary>
    public int KeyCount => _slotOfKey.Count;

    /// <summary>The slot of a key, or −1.</summary>
    public int SlotOf(string key) => _slotOfKey.TryGetValue(key, out int slot) ? slot : -1;

    /// <summary>The key of a row, or null.</summary>
    public string? Key(int slot) => _keys[slot];

    /// <summary>Gives a row without key a key that no row has.</summary>
    public void SetKey(int slot, string key)
    {
        _slotOfKey.Add(key, slot);
        _keys[slot] = key;
        _keyOrder.Add(slot);
    }

    /// <summary>The keys in the order of their first insertion, with their tags.</summary>
    public PartitionListing List()
    {
        string[] keys = new string[KeyCount];
        MemoryStream tags = new();
        int row = 0;
        for (int slot = _keyOrder.First; slot >= 0; slot = _keyOrder.Next(slot))
        {
            keys[row++] = _keys[slot]!;
            tags.Write(_tags[slot] ?? TagCodec.Empty);
        }
        return new PartitionListing(Name, Version, PackedKeys.Pack(keys), tags.ToArray());
    }

    private void RemoveKey(int slot)
    {
        if (_keys[slot] is not { } key)
            return;
        _keys[slot] = null;
        _slotOfKey.Remove(key);
        _keyOrder.Remove(slot);
    }
}

/// <summary>The keys of a partition and their tags, encoded as they travel.</summary>
/// <param name="Partition">The name.</param>
/// <param name="Version">The partition's version.</param>
/// <param name="Keys">The keys in the order of their first insertion.</param>
/// <param name="Tags">One MessagePack map per key, back to back.</param>
internal sealed record PartitionListing(string Partition, long Version, PackedKeys Keys, ReadOnlyMemory<byte> Tags);

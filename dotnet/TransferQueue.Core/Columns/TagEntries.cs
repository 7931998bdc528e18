using System.Buffers.Binary;

namespace TransferQueue.Columns;

/// <summary>The entries of a tag while it is merged: key and packed value, in order of first appearance.</summary>
internal sealed class TagEntries
{
    /// <summary>Up to so many entries a linear search beats a dictionary.</summary>
    private const int LinearEntries = 16;

    private readonly List<(ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte> Entry)> _entries = [];

    /// <summary>Position of each key's content; null while there are few.</summary>
    private Dictionary<ReadOnlyMemory<byte>, int>? _positions;

    /// <summary>Adds the entries of a valid tag; a known key's value is replaced where it stands.</summary>
    internal void Add(ReadOnlyMemory<byte> tag)
    {
        var map = PackedValue.ReadHead(tag.Span, "tags");
        int at = map.Content;
        for (long entry = 0; entry < map.Children / 2; entry++)
        {
            var head = TagCodec.ReadKey(tag.Span[at..]);
            int bytes = head.Bytes + PackedValue.Measure(tag.Span[(at + head.Bytes)..], "tags");
            Set(tag.Slice(at + head.Content, head.Bytes - head.Content), tag.Slice(at, bytes));
            at += bytes;
        }
    }

    /// <summary>One map with the entries.</summary>
    internal byte[] Pack()
    {
        int bytes = _entries.Sum(entry => entry.Entry.Length);
        Span<byte> head = stackalloc byte[5];
        head = head[..WriteHead(head, _entries.Count)];
        var packed = new byte[head.Length + bytes];
        head.CopyTo(packed);
        int at = head.Length;
        foreach (var (_, entry) in _entries)
        {
            entry.CopyTo(packed.AsMemory(at));
            at += entry.Length;
        }
        return packed;
    }

    private static int WriteHead(Span<byte> head, int count)
    {
        switch (count)
        {
            case <= 15:
                head[0] = (byte)(0x80 | count);
                return 1;
            case <= ushort.MaxValue:
                head[0] = 0xDE;
                BinaryPrimitives.WriteUInt16BigEndian(head[1..], (ushort)count);
                return 3;
            default:
                head[0] = 0xDF;
                BinaryPrimitives.WriteUInt32BigEndian(head[1..], (uint)count);
                return 5;
        }
    }

    private void Set(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> entry)
    {
        int position = Find(key);
        if (position >= 0)
        {
            _entries[position] = (key, entry);
            return;
        }
        _positions?.Add(key, _entries.Count);
        _entries.Add((key, entry));
    }

    private int Find(ReadOnlyMemory<byte> key)
    {
        if (_entries.Count <= LinearEntries)
            return _entries.FindIndex(entry => entry.Key.Span.SequenceEqual(key.Span));
        if (_positions is null)
        {
            _positions = new(new KeyContent());
            for (int i = 0; i < _entries.Count; i++)
                _positions.Add(_entries[i].Key, i);
        }
        return _positions.GetValueOrDefault(key, -1);
    }

    /// <summary>Keys are equal when their bytes are. The hash is seeded per process, so nobody can choose keys that collide.</summary>
    private sealed class KeyContent : IEqualityComparer<ReadOnlyMemory<byte>>
    {
        public bool Equals(ReadOnlyMemory<byte> x, ReadOnlyMemory<byte> y) => x.Span.SequenceEqual(y.Span);

        public int GetHashCode(ReadOnlyMemory<byte> key)
        {
            HashCode hash = default;
            hash.AddBytes(key.Span);
            return hash.ToHashCode();
        }
    }
}

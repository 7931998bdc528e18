using System.Runtime.CompilerServices;

namespace TransferQueue.Columns;

/// <summary>
/// Tags as they travel and as they are kept: one MessagePack map with string keys per row, B of them back to back. Nothing
/// here builds the values; the core treats them as opaque (docs/wire.md, section 4).
/// </summary>
internal static class TagCodec
{
    private const string Name = "tags";

    /// <summary>The tag without entries.</summary>
    internal static ReadOnlySpan<byte> Empty => [0x80];

    /// <summary>Bytes of the tag that <paramref name="tags"/> begins with.</summary>
    /// <exception cref="ProtocolException">It is no whole map, a key of it is no string, or it has an unknown extension.</exception>
    /// <exception cref="LimitExceededException">It nests too deep.</exception>
    internal static int Measure(ReadOnlySpan<byte> tags)
    {
        var map = PackedValue.ReadHead(tags, Name);
        if (!map.IsMap)
            throw new ProtocolException($"{Name}: the byte 0x{map.Code:X2} where a row's map begins");
        int at = map.Content;
        for (long entry = 0; entry < map.Children / 2; entry++)
        {
            at += ReadKey(tags[at..]).Bytes;
            at += PackedValue.Measure(tags[at..], Name, PackedValue.MaxNesting - 1);
        }
        return at;
    }

    /// <summary>Where the tags of <paramref name="rows"/> rows begin and end.</summary>
    /// <param name="tags">Exactly that many tags back to back.</param>
    /// <param name="rows">How many there must be.</param>
    /// <returns>Offsets int32[rows + 1]: tag i is the bytes [offsets[i], offsets[i + 1]).</returns>
    /// <exception cref="ProtocolException">There are fewer or more tags, or one breaks a rule of <see cref="Measure"/>.</exception>
    internal static int[] Split(ReadOnlySpan<byte> tags, int rows)
    {
        if (rows > tags.Length)
            throw new ProtocolException($"{Name}: {rows} rows, but only {tags.Length} bytes");
        var offsets = new int[rows + 1];
        int at = 0;
        for (int row = 0; row < rows; row++)
        {
            at += Measure(tags[at..]);
            offsets[row + 1] = at;
        }
        if (at != tags.Length)
            throw new ProtocolException($"{Name}: {tags.Length - at} bytes behind the tags of {rows} rows");
        return offsets;
    }

    /// <summary>
    /// The entries of <paramref name="old"/> in their order, replaced in place where <paramref name="update"/> has the same
    /// key, then the new ones in theirs. Of equal keys in one tag the last one counts. Both have passed <see cref="Measure"/>.
    /// </summary>
    /// <returns>One map; the caller's own bytes.</returns>
    internal static byte[] Merge(ReadOnlyMemory<byte> old, ReadOnlyMemory<byte> update)
    {
        if (IsEmpty(update.Span))
            return old.ToArray();
        if (IsEmpty(old.Span) || HaveSameKeys(old.Span, update.Span))
            return update.ToArray();
        var entries = new TagEntries();
        entries.Add(old);
        entries.Add(update);
        return entries.Pack();
    }

    /// <summary>Whether two tags have the same keys in the same order: the usual case when a status is written again and again.</summary>
    private static bool HaveSameKeys(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        PackedValue.Head mine = PackedValue.ReadHead(a, Name), theirs = PackedValue.ReadHead(b, Name);
        if (mine.Children != theirs.Children)
            return false;
        int i = mine.Content, j = theirs.Content;
        for (long entry = 0; entry < mine.Children / 2; entry++)
        {
            PackedValue.Head key = ReadKey(a[i..]), other = ReadKey(b[j..]);
            if (!a.Slice(i + key.Content, key.Bytes - key.Content).SequenceEqual(b.Slice(j + other.Content, other.Bytes - other.Content)))
                return false;
            i += key.Bytes;
            j += other.Bytes;
            i += PackedValue.Measure(a[i..], Name);
            j += PackedValue.Measure(b[j..], Name);
        }
        return true;
    }

    /// <summary>Whether the tag has no entries.</summary>
    internal static bool IsEmpty(ReadOnlySpan<byte> tag) => PackedValue.ReadHead(tag, Name).Children == 0;

    /// <summary>Finds the value of a top-level key.</summary>
    /// <param name="tag">One tag that has passed <see cref="Measure"/>.</param>
    /// <param name="key">The key, UTF-8.</param>
    /// <param name="value">The packed value, a part of <paramref name="tag"/>.</param>
    /// <returns>Whether the key is there.</returns>
    internal static bool TryFind(ReadOnlySpan<byte> tag, ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        value = default;
        bool found = false;
        var map = PackedValue.ReadHead(tag, Name);
        int at = map.Content;
        for (long entry = 0; entry < map.Children / 2; entry++)
        {
            var head = ReadKey(tag[at..]);
            bool same = tag.Slice(at + head.Content, head.Bytes - head.Content).SequenceEqual(key);
            at += head.Bytes;
            int bytes = PackedValue.Measure(tag[at..], Name);
            if (same)
                value = tag.Slice(at, bytes);
            found |= same;
            at += bytes;
        }
        return found;
    }

    /// <summary>Reads the head of a key.</summary>
    /// <exception cref="ProtocolException">It is no string.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static PackedValue.Head ReadKey(ReadOnlySpan<byte> bytes)
    {
        var head = PackedValue.ReadHead(bytes, Name);
        if (!head.IsString)
            throw new ProtocolException($"{Name}: the byte 0x{head.Code:X2} where a string key begins");
        return head;
    }

    /// <summary>Packs tags for rows that have none.</summary>
    internal static byte[] Repeat(int rows)
    {
        var tags = new byte[rows];
        tags.AsSpan().Fill(Empty[0]);
        return tags;
    }
}

using System.Numerics;

namespace TransferQueue.Columns;

/// <summary>
/// One bit per row slot, in words of 64: a field's ready rows, or a task's consumed ones. It grows by itself; slots beyond
/// its end read as 0. Not safe for several threads: its owner is the core's writer.
/// </summary>
internal sealed class ReadinessBitmap
{
    /// <summary>Slots of one word.</summary>
    internal const int WordBits = 64;

    /// <summary>Bit s % 64 of word s / 64 is slot s.</summary>
    private ulong[] _words;

    /// <summary>Makes a bitmap of zeros with room for <paramref name="slots"/> slots.</summary>
    internal ReadinessBitmap(int slots = 0) => _words = new ulong[WordsFor(slots)];

    /// <summary>Slots that there is room for: a multiple of 64.</summary>
    internal int Capacity => _words.Length * WordBits;

    /// <summary>The words, lowest slots first.</summary>
    internal ReadOnlySpan<ulong> Words => _words;

    /// <summary>Whether the slot is set; false beyond the end.</summary>
    internal bool this[int slot]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(slot);
            int word = slot / WordBits;
            return word < _words.Length && (_words[word] >> (slot % WordBits) & 1) != 0;
        }
    }

    /// <summary>Makes room for <paramref name="slots"/> slots, at least doubling what there is.</summary>
    internal void EnsureCapacity(int slots)
    {
        int wanted = WordsFor(slots);
        if (wanted > _words.Length)
            Array.Resize(ref _words, Math.Max(wanted, Math.Min(_words.Length * 2, WordsFor(int.MaxValue))));
    }

    /// <summary>Sets one slot; whether it was 0 before.</summary>
    internal bool Set(int slot)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slot);
        EnsureCapacity(slot + 1);
        ref ulong word = ref _words[slot / WordBits];
        ulong bit = 1UL << (slot % WordBits);
        bool changed = (word & bit) == 0;
        word |= bit;
        return changed;
    }

    /// <summary>Clears one slot; whether it was 1 before.</summary>
    internal bool Clear(int slot)
    {
        if (!this[slot])
            return false;
        _words[slot / WordBits] &= ~(1UL << (slot % WordBits));
        return true;
    }

    /// <summary>Sets the slots [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>).</summary>
    internal void SetRange(int start, int count)
    {
        CheckRange(start, count);
        if (count == 0)
            return;
        EnsureCapacity(start + count);
        foreach (var (word, mask) in new MaskedWords(start, count))
            _words[word] |= mask;
    }

    /// <summary>Clears the slots [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>).</summary>
    internal void ClearRange(int start, int count)
    {
        foreach (var (word, mask) in Within(start, count))
            _words[word] &= ~mask;
    }

    /// <summary>Clears all slots; the room stays.</summary>
    internal void ClearAll() => Array.Clear(_words);

    /// <summary>How many slots are set.</summary>
    internal int PopCount()
    {
        int count = 0;
        foreach (ulong word in _words)
            count += BitOperations.PopCount(word);
        return count;
    }

    /// <summary>How many of the slots [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>) are set.</summary>
    internal int CountRange(int start, int count)
    {
        int found = 0;
        foreach (var (word, mask) in Within(start, count))
            found += BitOperations.PopCount(_words[word] & mask);
        return found;
    }

    /// <summary>The first set slot at or behind <paramref name="from"/>, or −1.</summary>
    internal int FindFirst(int from = 0)
    {
        foreach (var (word, mask) in Within(from, int.MaxValue - from))
        {
            if ((_words[word] & mask) is var bits and not 0)
                return word * WordBits + BitOperations.TrailingZeroCount(bits);
        }
        return -1;
    }

    /// <summary>Writes this AND <paramref name="other"/> to <paramref name="destination"/>, which may be either of them.</summary>
    internal void And(ReadinessBitmap other, ReadinessBitmap destination)
    {
        int shared = Math.Min(_words.Length, other._words.Length);
        destination.Resize(_words.Length, shared);
        WordKernels.And(_words.AsSpan(0, shared), other._words.AsSpan(0, shared), destination._words);
    }

    /// <summary>Writes this AND NOT <paramref name="other"/> to <paramref name="destination"/>, which may be either of them.</summary>
    internal void AndNot(ReadinessBitmap other, ReadinessBitmap destination)
    {
        var mine = _words;
        var theirs = other._words;
        int shared = Math.Min(mine.Length, theirs.Length);
        destination.Resize(mine.Length, mine.Length);
        WordKernels.AndNot(mine.AsSpan(0, shared), theirs.AsSpan(0, shared), destination._words);
        mine.AsSpan(shared).CopyTo(destination._words.AsSpan(shared));
    }

    /// <summary>A copy of its own.</summary>
    internal ReadinessBitmap Clone() => new() { _words = (ulong[])_words.Clone() };

    private static int WordsFor(int slots)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slots);
        return (int)(((long)slots + WordBits - 1) / WordBits);
    }

    private static void CheckRange(int start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, int.MaxValue - start);
    }

    /// <summary>The words of a range that exist.</summary>
    private MaskedWords Within(int start, int count)
    {
        CheckRange(start, count);
        long end = Math.Min((long)start + count, (long)_words.Length * WordBits);
        return new MaskedWords(start, (int)Math.Max(end - start, 0));
    }

    /// <summary>Makes room for <paramref name="words"/> words and zeroes those from <paramref name="kept"/> on.</summary>
    private void Resize(int words, int kept)
    {
        if (words > _words.Length)
            Array.Resize(ref _words, words);
        Array.Clear(_words, kept, _words.Length - kept);
    }
}

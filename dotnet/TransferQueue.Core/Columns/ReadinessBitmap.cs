using System.Numerics;

namespace TransferQueue.Columns;

/// <summary>
/// One bit per row slot, in words of 64: a field's ready rows, or a task's consumed ones. It knows how many are set in each block of 64 words, so that
/// a scan passes over blocks without looking at them. It grows by itself; slots beyond its end read as 0. Not safe for several threads: its owner is
/// the core's writer.
/// </summary>
internal sealed class ReadinessBitmap
{
    /// <summary>Slots of one word.</summary>
    internal const int WordBits = 64;

    /// <summary>Words of one block.</summary>
    internal const int BlockWords = 64;

    /// <summary>Slots of one block.</summary>
    internal const int BlockSlots = BlockWords * WordBits;

    /// <summary>Bit s % 64 of word s / 64 is slot s.</summary>
    private ulong[] _words = [];

    /// <summary>Slots set in each block.</summary>
    private int[] _blocks = [];

    /// <summary>Slots that there is room for: a multiple of 64.</summary>
    internal int Capacity => _words.Length * WordBits;

    /// <summary>How many slots are set.</summary>
    internal int Count { get; private set; }

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

    /// <summary>How many slots of a block are set; 0 beyond the end.</summary>
    internal int CountOfBlock(int block) => block < _blocks.Length ? _blocks[block] : 0;

    /// <summary>Makes room for <paramref name="slots"/> slots, at least doubling what there is.</summary>
    internal void EnsureCapacity(int slots)
    {
        int wanted = WordsFor(slots);
        if (wanted <= _words.Length)
            return;
        Array.Resize(ref _words, Math.Max(wanted, Math.Min(_words.Length * 2, WordsFor(int.MaxValue))));
        Array.Resize(ref _blocks, (_words.Length + BlockWords - 1) / BlockWords);
    }

    /// <summary>Sets one slot; whether it was 0 before.</summary>
    internal bool Set(int slot)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slot);
        EnsureCapacity(slot + 1);
        ref ulong word = ref _words[slot / WordBits];
        ulong bit = 1UL << (slot % WordBits);
        if ((word & bit) != 0)
            return false;
        word |= bit;
        Note(slot / WordBits, 1);
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
        {
            Note(word, BitOperations.PopCount(mask & ~_words[word]));
            _words[word] |= mask;
        }
    }

    /// <summary>Clears the slots [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>).</summary>
    /// <returns>How many of them were set.</returns>
    internal int ClearRange(int start, int count)
    {
        int before = Count;
        foreach (var (word, mask) in Within(start, count))
        {
            Note(word, -BitOperations.PopCount(_words[word] & mask));
            _words[word] &= ~mask;
        }
        return before - Count;
    }

    /// <summary>How many of the slots [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>) are set.</summary>
    internal int CountRange(int start, int count)
    {
        int found = 0;
        foreach (var (word, mask) in Within(start, count))
            found += BitOperations.PopCount(_words[word] & mask);
        return found;
    }

    /// <summary>Writes 1 for each slot that is set, 0 for the others.</summary>
    /// <param name="slots">The slots.</param>
    /// <param name="status">Gets a number per slot, at every <paramref name="stride"/>th place.</param>
    /// <param name="stride">≥ 1.</param>
    internal void CopyTo(ReadOnlySpan<int> slots, Span<sbyte> status, int stride = 1)
    {
        ReadOnlySpan<ulong> words = _words;
        for (int i = 0; i < slots.Length; i++)
        {
            uint slot = (uint)slots[i]; // unsigned: a division is a shift then
            int word = (int)(slot / WordBits);
            status[i * stride] = word < words.Length ? (sbyte)(words[word] >> (int)(slot % WordBits) & 1) : (sbyte)0;
        }
    }

    private void Note(int word, int more)
    {
        _blocks[word / BlockWords] += more;
        Count += more;
    }

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
}

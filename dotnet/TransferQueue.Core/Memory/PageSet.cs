using System.Numerics;

namespace TransferQueue.Memory;

/// <summary>A set of pages by their numbers, a bit each; it grows with the highest page that was ever in it.</summary>
/// <remarks>Not thread-safe: its owner has a lock.</remarks>
internal sealed class PageSet
{
    private const int WordBits = 64;

    private ulong[] _words = new ulong[16];

    /// <summary>Pages in the set.</summary>
    public long Count { get; private set; }

    /// <summary>Whether any page of a run is in it.</summary>
    public bool Overlaps(long first, long count) => Find(first, first + count, isIn: true) < first + count;

    /// <summary>Whether all pages of a run are in it.</summary>
    public bool Contains(long first, long count) => Find(first, first + count, isIn: false) == first + count;

    /// <summary>Adds a run of pages.</summary>
    public void Add(long first, long count)
    {
        long words = (first + count + WordBits - 1) / WordBits;
        if (words > _words.Length)
            Array.Resize(ref _words, (int)Math.Max(words, 2L * _words.Length));
        for (long page = first, end = first + count; page < end;)
        {
            ulong mask = Mask(page, end, out long next);
            ref ulong word = ref _words[page / WordBits];
            Count += BitOperations.PopCount(mask & ~word);
            word |= mask;
            page = next;
        }
    }

    /// <summary>Takes a run of pages out.</summary>
    public void Remove(long first, long count)
    {
        for (long page = first, end = Math.Min(first + count, (long)_words.Length * WordBits); page < end;)
        {
            ulong mask = Mask(page, end, out long next);
            ref ulong word = ref _words[page / WordBits];
            Count -= BitOperations.PopCount(mask & word);
            word &= ~mask;
            page = next;
        }
    }

    /// <summary>The first page in [<paramref name="page"/>, <paramref name="end"/>) that is, or is not, in the set; <paramref name="end"/> if there is none.</summary>
    public long Find(long page, long end, bool isIn)
    {
        while (page < end)
        {
            ulong mask = Mask(page, end, out long next);
            ulong word = page / WordBits < _words.Length ? _words[page / WordBits] : 0;
            ulong hits = (isIn ? word : ~word) & mask;
            if (hits != 0)
                return page / WordBits * WordBits + BitOperations.TrailingZeroCount(hits);
            page = next;
        }
        return end;
    }

    /// <summary>The bits of <paramref name="page"/>'s word from it on, up to <paramref name="end"/>.</summary>
    private static ulong Mask(long page, long end, out long next)
    {
        long start = page / WordBits * WordBits;
        next = Math.Min(start + WordBits, end);
        ulong below = ulong.MaxValue << (int)(page - start);
        return next - start == WordBits ? below : below & ((1UL << (int)(next - start)) - 1);
    }
}

using System.Numerics;

namespace TransferQueue.Columns;

/// <summary>
/// Which rows are ready in all of some fields and not consumed: the AND of their bitmaps, block by block. Blocks in which a field has nothing ready,
/// or all is consumed, are passed over by their counts alone.
/// </summary>
internal static class ReadyScan
{
    private const int BlockWords = ReadinessBitmap.BlockWords;

    /// <summary>What a scan found and what it cost.</summary>
    /// <param name="Found">Slots emitted.</param>
    /// <param name="VisitedWords">Result words computed; a scan that stops early visits fewer than there are.</param>
    internal readonly record struct Result(int Found, long VisitedWords);

    /// <summary>Emits, in ascending order, the first <c>slots.Length</c> slots that are ready in all fields and not consumed.</summary>
    /// <param name="ready">One bitmap per field; none: nothing is ready.</param>
    /// <param name="consumed">Rows to leave out, or null.</param>
    /// <param name="slots">Filled from its start; its length is the number wanted.</param>
    internal static Result Take(ReadOnlySpan<ReadinessBitmap> ready, ReadinessBitmap? consumed, Span<int> slots)
    {
        int found = 0;
        long visited = 0;
        int words = SharedWords(ready);
        Span<ulong> block = stackalloc ulong[BlockWords];
        for (int start = 0; start < words && found < slots.Length; start += BlockWords)
        {
            if (!MayHave(ready, consumed, start / BlockWords))
                continue;
            var part = block[..Math.Min(BlockWords, words - start)];
            Combine(ready, consumed, start, part);
            visited += part.Length;
            found += Emit(part, start, slots[found..]);
        }
        return new Result(found, visited);
    }

    /// <summary>How many slots are ready in all fields and not consumed; stops once <paramref name="enough"/> are known.</summary>
    /// <returns>The count; at least <paramref name="enough"/> where it stopped early.</returns>
    internal static Result Count(ReadOnlySpan<ReadinessBitmap> ready, ReadinessBitmap? consumed, int enough = int.MaxValue)
    {
        int found = 0;
        long visited = 0;
        int words = SharedWords(ready);
        Span<ulong> block = stackalloc ulong[BlockWords];
        for (int start = 0; start < words && found < enough; start += BlockWords)
        {
            if (!MayHave(ready, consumed, start / BlockWords))
                continue;
            var part = block[..Math.Min(BlockWords, words - start)];
            Combine(ready, consumed, start, part);
            visited += part.Length;
            foreach (ulong word in part)
                found += BitOperations.PopCount(word);
        }
        return new Result(found, visited);
    }

    private static int SharedWords(ReadOnlySpan<ReadinessBitmap> ready)
    {
        int words = ready.IsEmpty ? 0 : int.MaxValue;
        foreach (var field in ready)
            words = Math.Min(words, field.Words.Length);
        return words;
    }

    /// <summary>Whether a block can have a row, by the counts: false is certain.</summary>
    private static bool MayHave(ReadOnlySpan<ReadinessBitmap> ready, ReadinessBitmap? consumed, int block)
    {
        if (consumed?.CountOfBlock(block) == ReadinessBitmap.BlockSlots)
            return false;
        foreach (var field in ready)
        {
            if (field.CountOfBlock(block) == 0)
                return false;
        }
        return true;
    }

    private static void Combine(ReadOnlySpan<ReadinessBitmap> ready, ReadinessBitmap? consumed, int start, Span<ulong> block)
    {
        ready[0].Words.Slice(start, block.Length).CopyTo(block);
        foreach (var field in ready[1..])
            WordKernels.And(block, field.Words.Slice(start, block.Length), block);
        if (consumed is null || consumed.Words.Length <= start)
            return;
        int known = Math.Min(block.Length, consumed.Words.Length - start);
        WordKernels.AndNot(block[..known], consumed.Words.Slice(start, known), block);
    }

    private static int Emit(ReadOnlySpan<ulong> block, int firstWord, Span<int> slots)
    {
        int found = 0;
        for (int i = 0; i < block.Length && found < slots.Length; i++)
        {
            for (ulong bits = block[i]; bits != 0 && found < slots.Length; bits &= bits - 1)
                slots[found++] = (firstWord + i) * ReadinessBitmap.WordBits + BitOperations.TrailingZeroCount(bits);
        }
        return found;
    }
}

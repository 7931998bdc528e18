namespace TransferQueue.Control;

/// <summary>A stretch of slots, and which rows of a request they are.</summary>
/// <param name="Start">The first slot.</param>
/// <param name="Count">How many, ≥ 1.</param>
/// <param name="Row">The request's row at <paramref name="Start"/>; the others follow it.</param>
internal readonly record struct SlotRun(int Start, int Count, int Row)
{
    /// <summary>The stretches of <paramref name="slots"/>, in their order; row i of the request is slots[i] plus <paramref name="firstRow"/>.</summary>
    public static List<SlotRun> Of(ReadOnlySpan<int> slots, int firstRow = 0)
    {
        List<SlotRun> runs = [];
        int begin = 0;
        for (int i = 1; i <= slots.Length; i++)
        {
            if (i < slots.Length && slots[i] == slots[i - 1] + 1)
                continue;
            runs.Add(new SlotRun(slots[begin], i - begin, firstRow + begin));
            begin = i;
        }
        return runs;
    }
}

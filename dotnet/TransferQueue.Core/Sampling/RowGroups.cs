using System.Collections.Immutable;

namespace TransferQueue.Sampling;

/// <summary>Groups of rows with consecutive global indexes: the responses to one prompt, put together.</summary>
internal static class RowGroups
{
    /// <summary>The first groups of the ready rows.</summary>
    /// <param name="ready">Ascending.</param>
    /// <param name="count">Groups wanted.</param>
    /// <param name="rows">Rows of a group, ≥ 1.</param>
    /// <returns>Their rows, ascending, count × rows of them; default: there are fewer groups.</returns>
    internal static ImmutableArray<long> Find(ReadOnlySpan<long> ready, int count, int rows)
    {
        if (ready.Length < (long)count * rows)
            return default;
        var found = ImmutableArray.CreateBuilder<long>(count * rows);
        for (int at = 0; found.Count < found.Capacity && at + rows <= ready.Length;)
        {
            int gap = FirstGap(ready.Slice(at, rows));
            if (gap == rows)
                found.AddRange(ready.Slice(at, rows));
            at += gap;
        }
        return found.Count == found.Capacity ? found.MoveToImmutable() : default;
    }

    /// <summary>How many rows at the beginning are consecutive.</summary>
    private static int FirstGap(ReadOnlySpan<long> rows)
    {
        int at = 1;
        while (at < rows.Length && rows[at] == rows[at - 1] + 1)
            at++;
        return at;
    }
}

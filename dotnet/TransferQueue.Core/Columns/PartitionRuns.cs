using System.Collections.Immutable;

namespace TransferQueue.Columns;

/// <summary>Run-length encoded partitions of rows.</summary>
internal static class PartitionRuns
{
    /// <summary>Rows of all runs.</summary>
    internal static long Rows(ImmutableArray<PartitionRun> runs)
    {
        long rows = 0;
        foreach (var run in runs.AsSpan())
            rows += run.Count;
        return rows;
    }

    /// <summary>The runs of the rows [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>).</summary>
    internal static ImmutableArray<PartitionRun> Slice(ImmutableArray<PartitionRun> runs, int start, int count)
    {
        var slice = new Builder();
        int first = 0;
        foreach (var run in runs.AsSpan())
        {
            int from = Math.Max(start, first);
            int to = Math.Min(start + count, first + run.Count);
            if (from < to)
                slice.Add(run.Partition, to - from);
            first += run.Count;
        }
        return slice.ToImmutable();
    }

    /// <summary>The runs of the rows at <paramref name="positions"/>, in that order: O(positions · log runs).</summary>
    internal static ImmutableArray<PartitionRun> Select(ImmutableArray<PartitionRun> runs, ReadOnlySpan<int> positions)
    {
        var ends = Ends(runs);
        var selected = new Builder();
        foreach (int position in positions)
            selected.Add(runs[RunOf(ends, position)].Partition, 1);
        return selected.ToImmutable();
    }

    /// <summary>int[runs]: the row behind each run.</summary>
    internal static int[] Ends(ImmutableArray<PartitionRun> runs)
    {
        var ends = new int[runs.Length];
        int row = 0;
        for (int i = 0; i < ends.Length; i++)
            ends[i] = row += runs[i].Count;
        return ends;
    }

    /// <summary>The run that row <paramref name="row"/> is in.</summary>
    internal static int RunOf(ReadOnlySpan<int> ends, int row)
    {
        if (ends[0] > row)
            return 0;
        int found = ends.BinarySearch(row);
        return found >= 0 ? found + 1 : ~found;
    }

    /// <summary>Puts runs together; neighbours of one partition become one.</summary>
    internal struct Builder()
    {
        private readonly ImmutableArray<PartitionRun>.Builder _runs = ImmutableArray.CreateBuilder<PartitionRun>();

        /// <summary>Adds rows of a partition; none: nothing.</summary>
        internal readonly void Add(string partition, int rows)
        {
            if (rows == 0)
                return;
            if (_runs.Count > 0 && _runs[^1].Partition == partition)
                _runs[^1] = new PartitionRun(partition, _runs[^1].Count + rows);
            else
                _runs.Add(new PartitionRun(partition, rows));
        }

        /// <summary>The runs.</summary>
        internal readonly ImmutableArray<PartitionRun> ToImmutable() => _runs.ToImmutable();
    }
}

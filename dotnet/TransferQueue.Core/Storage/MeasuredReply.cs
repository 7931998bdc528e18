using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Storage;

/// <summary>The columns of a reply whose bytes are counted, and how each of them goes to its reader.</summary>
/// <remarks>Measured by any thread, placed by the writer, built by any thread; one after the other.</remarks>
internal sealed class MeasuredReply
{
    /// <summary>Measures leased columns: O(runs).</summary>
    /// <exception cref="LimitExceededException">They have more than <see cref="StorageManager.MostReplyBytes"/> of values.</exception>
    /// <exception cref="ProtocolException">Offsets that a client has damaged.</exception>
    public MeasuredReply(StorageManager storage, ReadLease lease)
    {
        Lease = lease;
        long bytes = 0;
        var columns = ImmutableArray.CreateBuilder<MeasuredColumn>(lease.Columns.Length);
        foreach (ColumnRuns column in lease.Columns)
        {
            var pieces = ImmutableArray.CreateBuilder<MeasuredPiece>(1);
            ColumnLayout? common = CommonLayout(column.Runs);
            for (int begin = 0, end; begin < column.Runs.Length; begin = end)
            {
                end = common is null ? SameLayout(column.Runs, begin) : column.Runs.Length;
                pieces.Add(new MeasuredPiece(storage, common ?? column.Runs[begin].Column.Layout, column.Runs.AsMemory(begin, end - begin)));
                bytes += pieces[^1].ValueBytes;
                if (bytes > storage.MostReplyBytes)
                    throw new LimitExceededException(
                        $"get: {bytes} bytes or more asked for at once, a reply may have {storage.MostReplyBytes}; get fewer rows, or fewer fields, at once");
            }
            columns.Add(new MeasuredColumn(column, pieces.ToImmutable()));
        }
        Columns = columns.MoveToImmutable();
        Placements = new ColumnPlacement[Columns.Length];
    }

    /// <summary>What keeps the columns.</summary>
    public ReadLease Lease { get; }

    /// <summary>The columns.</summary>
    public ImmutableArray<MeasuredColumn> Columns { get; }

    /// <summary>How each column goes to its reader; all in the message, unless <see cref="StorageManager.Place"/> says otherwise.</summary>
    public ColumnPlacement[] Placements { get; }

    /// <summary>Whether a frame is placed.</summary>
    public bool HasPlaced => Placements.Any(placement => placement.Way != ColumnWay.Inline);

    /// <summary>Bytes that are copied to make the frames, or sent: what a view is not.</summary>
    public long MovedBytes
    {
        get
        {
            long bytes = 0;
            for (int i = 0; i < Placements.Length; i++)
                bytes += Placements[i].Way switch
                {
                    ColumnWay.Viewed => 0,
                    ColumnWay.ValuesViewed => Columns[i].Pieces[0].HeadBytes,
                    _ => Columns[i].FrameBytes,
                };
            return bytes;
        }
    }

    /// <summary>Extents that were taken for gathered columns.</summary>
    public ImmutableArray<OwnedExtent> Results =>
        [.. Placements.Where(placement => placement.Way == ColumnWay.Gathered).Select(placement => placement.Target)];

    /// <summary>
    /// The one layout in which all rows lie side by side as they are stored: their own if they share it; jagged along the first dimension if they
    /// are dense or jagged and differ in that one only. Rows that were put one by one come as one piece by this.
    /// </summary>
    /// <returns>Null if there is none.</returns>
    private static ColumnLayout? CommonLayout(ColumnRun[] runs)
    {
        if (runs.Length == 0)
            return null;
        ColumnLayout first = runs[0].Column.Layout;
        bool isSame = true;
        for (int i = 1; i < runs.Length; i++)
        {
            if (ReferenceEquals(runs[i].Column, runs[i - 1].Column) || runs[i].Column.Layout.Equals(first))
                continue;
            isSame = false;
            if (!LiesBeside(runs[i].Column.Layout, first))
                return null;
        }
        return isSame ? first : IsAlongFirst(first) ? new ColumnLayout(ColumnKind.Jagged, first.DType, first.Shape.SetItem(0, -1)) : null;
    }

    private static bool LiesBeside(in ColumnLayout layout, in ColumnLayout first) =>
        layout.DType == first.DType && layout.Rank == first.Rank && IsAlongFirst(layout) && layout.Shape.AsSpan()[1..].SequenceEqual(first.Shape.AsSpan()[1..]);

    /// <summary>Whether a row is slices along its first dimension, and nothing else of it varies.</summary>
    private static bool IsAlongFirst(in ColumnLayout layout) =>
        layout.Rank > 0 && (layout.Kind == ColumnKind.Dense || (layout.Kind == ColumnKind.Jagged && layout.Shape[0] < 0));

    private static int SameLayout(ColumnRun[] runs, int begin)
    {
        ColumnLayout layout = runs[begin].Column.Layout;
        int end = begin + 1;
        while (end < runs.Length && (ReferenceEquals(runs[end].Column, runs[end - 1].Column) || runs[end].Column.Layout.Equals(layout)))
            end++;
        return end;
    }
}

/// <summary>How a column's frame goes to its reader.</summary>
internal enum ColumnWay
{
    /// <summary>In the message.</summary>
    Inline,

    /// <summary>It is a part of a stored column: the reader looks at that.</summary>
    Viewed,

    /// <summary>Its values are a part of a stored column, its offsets are in the message.</summary>
    ValuesViewed,

    /// <summary>It is gathered in an extent of its own.</summary>
    Gathered,
}

/// <summary>How a column goes to its reader: a value.</summary>
/// <param name="Way">How.</param>
/// <param name="Target">The extent that is looked at or gathered in; inside of it the frame, or its values, begin at <paramref name="First"/>.</param>
/// <param name="First">Bytes from the extent's start.</param>
internal readonly record struct ColumnPlacement(ColumnWay Way, OwnedExtent Target = default, long First = 0)
{
    /// <summary>The place for the wire.</summary>
    public ulong Place => FramePlace.Of(Target.Extent.Segment, Target.Extent.Offset + First);
}

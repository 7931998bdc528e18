using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>
/// Makes the frames of a reply: offsets and shapes anew in scratch, values where they lie, or gathered in scratch where the
/// stretches are many and small. One reply; one thread.
/// </summary>
internal sealed unsafe class ReplyBuilder(StorageManager storage, NativeBufferPool pool)
{
    /// <summary>So many stretches of a piece are sent as they are, however small.</summary>
    private const int DirectRuns = 16;

    /// <summary>Above that, stretches are sent as they are if they have on average so many bytes.</summary>
    private const long DirectBytes = 16 << 10;

    private readonly List<NativeSegment> _segments = [];
    private readonly List<NativeBuffer> _scratch = [];

    /// <summary>Bytes of values so far.</summary>
    private long _valueBytes;

    /// <summary>Makes the frames of all columns.</summary>
    /// <exception cref="LimitExceededException">They have more than <see cref="StorageManager.MostReplyBytes"/> of values.</exception>
    /// <exception cref="StorageFullException">No memory for what must be gathered.</exception>
    public ReplyFrames Build(ReadLease lease)
    {
        try
        {
            var columns = ImmutableArray.CreateBuilder<FramedColumn>(lease.Columns.Length);
            var lengths = ImmutableArray.CreateBuilder<long>(lease.Columns.Length);
            foreach (ColumnRuns column in lease.Columns)
            {
                columns.Add(Column(column, out long length));
                lengths.Add(length);
            }
            return new ReplyFrames(columns.MoveToImmutable(), lengths.MoveToImmutable(), [.. _segments], _scratch);
        }
        catch
        {
            foreach (NativeBuffer buffer in _scratch)
                buffer.Dispose();
            throw;
        }
    }

    private FramedColumn Column(ColumnRuns column, out long length)
    {
        var pieces = ImmutableArray.CreateBuilder<ColumnPiece>();
        long start = 0;
        length = 0;
        for (int begin = 0; begin < column.Runs.Length;)
        {
            int end = SameLayout(column.Runs, begin);
            Pad(start - length);
            ColumnPiece piece = Piece(column.Runs.AsSpan(begin, end - begin));
            pieces.Add(piece);
            length = start + piece.Bytes;
            start = piece.NextStart(start);
            begin = end;
        }
        return new FramedColumn(column.Name, column.DType, pieces.ToImmutable());
    }

    private static int SameLayout(ColumnRun[] runs, int begin)
    {
        ColumnLayout layout = runs[begin].Column.Layout;
        int end = begin + 1;
        while (end < runs.Length && (ReferenceEquals(runs[end].Column, runs[end - 1].Column) || runs[end].Column.Layout.Equals(layout)))
            end++;
        return end;
    }

    private ColumnPiece Piece(ReadOnlySpan<ColumnRun> runs)
    {
        ColumnLayout layout = runs[0].Column.Layout;
        int rows = 0;
        foreach (ColumnRun run in runs)
            rows += run.Count;
        long head = layout.HasOffsets ? Head(layout, runs, rows) : 0;
        return new ColumnPiece(layout, rows, head + Values(runs));
    }

    /// <summary>Writes the offsets and shapes of a piece to scratch.</summary>
    private long Head(in ColumnLayout layout, ReadOnlySpan<ColumnRun> runs, int rows)
    {
        long bytes = layout.ValuesStart(rows);
        NativeSegment head = Scratch(bytes);
        new Span<byte>(head.Pointer, checked((int)bytes)).Clear();
        long end = 0;
        int row = 0;
        foreach (ColumnRun run in runs)
        {
            OffsetRows source = Rows(run);
            end = source.CopyEndsTo(new Span<long>((long*)head.Pointer + row + 1, run.Count), end);
            if (layout.Kind == ColumnKind.Ragged)
                source.CopyShapesTo(new Span<int>(head.Pointer + (rows + 1L) * sizeof(long) + (long)row * layout.Rank * sizeof(int), run.Count * layout.Rank));
            row += run.Count;
        }
        Send(head);
        return bytes;
    }

    /// <summary>Sends the values of a piece.</summary>
    private long Values(ReadOnlySpan<ColumnRun> runs)
    {
        var values = new NativeSegment[runs.Length];
        long bytes = 0;
        for (int i = 0; i < runs.Length; i++)
        {
            values[i] = Values(runs[i]);
            bytes += values[i].Length;
        }
        CountValues(bytes);
        if (runs.Length > DirectRuns && bytes / runs.Length < DirectBytes)
        {
            NativeSegment gathered = Scratch(bytes);
            CopyKernels.GatherSegments(values, gathered.Pointer, streaming: false);
            Send(gathered);
        }
        else
        {
            foreach (NativeSegment value in values)
                Send(value);
        }
        return bytes;
    }

    private void CountValues(long bytes)
    {
        _valueBytes += bytes;
        if (_valueBytes > storage.MostReplyBytes)
            throw new LimitExceededException(
                $"get: {_valueBytes} bytes or more asked for at once, a reply may have {storage.MostReplyBytes}; get fewer rows, or fewer fields, at once");
    }

    private NativeSegment Values(ColumnRun run)
    {
        ColumnLayout layout = run.Column.Layout;
        if (layout.HasOffsets)
            return Rows(run).Values;
        long row = layout.UnitBytes;
        return storage.Segment(run.Column).Skip(run.First * row).Take(run.Count * row);
    }

    private OffsetRows Rows(ColumnRun run) =>
        new(storage.Segment(run.Column).Pointer, run.Column.Layout, run.Column.Rows, run.First, run.Count);

    private void Pad(long bytes)
    {
        if (bytes <= 0)
            return;
        NativeSegment zeros = Scratch(bytes);
        new Span<byte>(zeros.Pointer, (int)bytes).Clear();
        Send(zeros);
    }

    private NativeSegment Scratch(long bytes)
    {
        NativeBuffer buffer = pool.Rent(bytes);
        _scratch.Add(buffer);
        return buffer.Segment;
    }

    /// <summary>Appends a stretch; stretches that lie side by side are one.</summary>
    private void Send(NativeSegment segment)
    {
        if (segment.Length == 0)
            return;
        if (_segments.Count > 0 && _segments[^1] is var last && last.Address + (nint)last.Length == segment.Address)
            _segments[^1] = last with { Length = last.Length + segment.Length };
        else
            _segments.Add(segment);
    }
}

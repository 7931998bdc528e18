using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>
/// Makes the frames of a reply. In the message: offsets and shapes anew in scratch, values where they lie, or gathered in scratch where the
/// stretches are many and small. In shared memory: nothing where the reader looks at a stored column, else one pass into the result's extent, by two
/// threads where it is large.
/// </summary>
/// <remarks>One reply; one thread.</remarks>
internal sealed unsafe class ReplyBuilder(StorageManager storage, NativeBufferPool pool)
{
    /// <summary>So many stretches of a piece are sent as they are, however small.</summary>
    private const int DirectRuns = 16;

    /// <summary>Above that, stretches are sent as they are if they have on average so many bytes.</summary>
    private const long DirectBytes = 16 << 10;

    /// <summary>So many bytes at the start of a reply the loop itself may send: what of them lies in a file is copied, since the loop must not wait for a disk.</summary>
    private const long LoopBytes = 256 << 10;

    private readonly List<NativeSegment> _segments = [];
    private readonly List<NativeBuffer> _scratch = [];
    private readonly List<ReplyFrame> _frames = [];

    /// <summary>Bytes that are in the message so far.</summary>
    private long _sent;

    /// <summary>The values of all gathered columns.</summary>
    private BulkCopy? _gathering;

    /// <summary>Makes the frames of all columns.</summary>
    /// <exception cref="StorageFullException">No memory for what must be gathered.</exception>
    public ReplyFrames Build(MeasuredReply reply)
    {
        try
        {
            var columns = ImmutableArray.CreateBuilder<FramedColumn>(reply.Columns.Length);
            for (int i = 0; i < reply.Columns.Length; i++)
                columns.Add(Column(reply.Columns[i], reply.Placements[i]));
            _gathering?.Run();
            return new ReplyFrames(columns.MoveToImmutable(), [.. _frames], [.. _segments], _scratch);
        }
        catch
        {
            foreach (NativeBuffer buffer in _scratch)
                buffer.Dispose();
            throw;
        }
    }

    private FramedColumn Column(MeasuredColumn column, in ColumnPlacement placement)
    {
        int frames = _frames.Count;
        switch (placement.Way)
        {
            case ColumnWay.Inline:
                SendPieces(column);
                _frames.Add(new ReplyFrame(column.FrameBytes, FramePlace.Inline));
                break;
            case ColumnWay.Gathered:
                Gather(column, storage.Segment(placement.Target).Pointer, _gathering ??= new BulkCopy());
                _frames.Add(new ReplyFrame(column.FrameBytes, placement.Place));
                break;
            case ColumnWay.ValuesViewed:
                SendHead(column.Pieces[0]);
                _frames.Add(new ReplyFrame(column.Pieces[0].HeadBytes, FramePlace.Inline));
                _frames.Add(new ReplyFrame(column.Pieces[0].ValueBytes, placement.Place));
                break;
            default:
                _frames.Add(new ReplyFrame(column.FrameBytes, placement.Place));
                break;
        }
        return new FramedColumn(column.Name, column.DType, [.. column.Pieces.Select(piece => piece.ToPiece())], _frames.Count - frames);
    }

    private void SendPieces(MeasuredColumn column)
    {
        long start = 0, end = 0;
        foreach (MeasuredPiece piece in column.Pieces)
        {
            Pad(start - end);
            SendHead(piece);
            SendValues(piece);
            end = start + piece.Bytes;
            start = piece.ToPiece().NextStart(start);
        }
    }

    private void SendHead(MeasuredPiece piece)
    {
        if (piece.HeadBytes == 0)
            return;
        NativeSegment head = Scratch(piece.HeadBytes);
        piece.CopyHeadTo(head.Pointer);
        Send(head);
    }

    private void SendValues(MeasuredPiece piece)
    {
        int runs = piece.Runs.Length;
        if (runs > DirectRuns && piece.ValueBytes / runs < DirectBytes)
        {
            NativeSegment gathered = Scratch(piece.ValueBytes);
            var values = new NativeSegment[runs];
            for (int i = 0; i < runs; i++)
                values[i] = piece.Values(i);
            CopyKernels.GatherSegments(values, gathered.Pointer, streaming: false);
            Send(gathered);
            return;
        }
        for (int i = 0; i < runs; i++)
        {
            NativeSegment values = piece.Values(i);
            if (piece.IsInFile(i))
                values = SendStart(values);
            Send(values);
        }
    }

    /// <summary>Sends a copy of what the loop may come to send.</summary>
    /// <returns>The rest.</returns>
    private NativeSegment SendStart(NativeSegment values)
    {
        long bytes = Math.Min(values.Length, LoopBytes - _sent);
        if (bytes <= 0)
            return values;
        NativeSegment copy = Scratch(bytes);
        CopyKernels.Copy(values.Pointer, copy.Pointer, bytes);
        Send(copy);
        return values.Skip(bytes);
    }

    /// <summary>Writes a frame but for its values, which are left to <paramref name="gathering"/>.</summary>
    private static void Gather(MeasuredColumn column, byte* frame, BulkCopy gathering)
    {
        long start = 0, end = 0;
        foreach (MeasuredPiece piece in column.Pieces)
        {
            new Span<byte>(frame + end, (int)(start - end)).Clear();
            piece.CopyHeadTo(frame + start);
            byte* target = frame + start + piece.HeadBytes;
            for (int i = 0; i < piece.Runs.Length; i++)
            {
                NativeSegment values = piece.Values(i);
                gathering.Add(values, target);
                target += values.Length;
            }
            end = start + piece.Bytes;
            start = piece.ToPiece().NextStart(start);
        }
    }

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
        _sent += segment.Length;
        if (_segments.Count > 0 && _segments[^1] is var last && last.Address + (nint)last.Length == segment.Address)
            _segments[^1] = last with { Length = last.Length + segment.Length };
        else
            _segments.Add(segment);
    }
}

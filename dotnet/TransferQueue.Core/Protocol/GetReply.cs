using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to GET: how its frames are to be read.</summary>
/// <param name="Rows">Rows of every column.</param>
/// <param name="Columns">In the order of the payload frames; each has one of them, or two.</param>
internal sealed record GetReply(int Rows, ImmutableArray<ReplyColumn> Columns) : Reply
{
    private static readonly HeaderKeys Keys = new("n", "columns");

    /// <summary>Reads the header and checks each frame's length against its column.</summary>
    internal static GetReply Read(ReadOnlyMemory<byte> header, ReadOnlySpan<long> frames)
    {
        var reader = new HeaderReader("reply to GET", header, ProtocolLimits.Default);
        int? rows = null;
        ImmutableArray<ReplyColumn> columns = default;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "n")
                rows = reader.Rows();
            else
                columns = reader.ReplyColumns();
        }
        var reply = new GetReply(reader.Required(rows, "n"), reader.Required(columns, "columns"));
        reply.CheckFrames(frames);
        return reply;
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("n", Rows);
        writer.Entry("columns", Columns);
    }

    private void CheckFrames(ReadOnlySpan<long> frames)
    {
        int wanted = 0;
        foreach (var column in Columns)
            wanted += column.Frames;
        if (wanted != frames.Length)
            throw new ProtocolException($"reply to GET: {Columns.Length} columns of {wanted} frames, {frames.Length} frames are there");
        int next = 0;
        foreach (var column in Columns)
        {
            if (column.Rows != Rows)
                throw new ProtocolException($"reply to GET: column '{column.Name}' has {column.Rows} rows of {Rows}");
            long bytes = frames[next];
            if (column.Frames > 1)
            {
                if (column.HeadBytes != frames[next])
                    throw new ProtocolException($"reply to GET: the head of column '{column.Name}' takes {column.HeadBytes} bytes; its frame has {frames[next]}");
                bytes += frames[next + 1];
            }
            if (column.FrameBytes != bytes)
                throw new ProtocolException($"reply to GET: the pieces of column '{column.Name}' take {column.FrameBytes} bytes; its frames have {bytes}");
            next += column.Frames;
        }
    }
}

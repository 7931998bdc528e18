using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>
/// PUT: columns and tags for n rows, which are named by their keys in one partition, by their indexes, or not at all (new rows).
/// </summary>
/// <param name="Rows">n.</param>
/// <param name="Partition">With keys or for new rows: their partition; null with <paramref name="Selection"/>.</param>
/// <param name="Keys">n keys, or default.</param>
/// <param name="Selection">n indexes, or null.</param>
/// <param name="Tags">n tags that merge into the rows', or null.</param>
/// <param name="Columns">One per payload frame, in the frames' order; each name once.</param>
/// <param name="Want">What the reply tells.</param>
internal sealed record PutRequest(
    int Rows, string? Partition, ImmutableArray<string> Keys, RowSelection? Selection, PackedTags? Tags,
    ImmutableArray<ColumnDescriptor> Columns, PutWant Want) : Request
{
    private static readonly HeaderKeys Known = new("n", "partition", "parts", "keys", "indexes", "generations", "tags", "columns", "want");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Put;

    /// <summary>Reads the header and checks each frame's length against its column.</summary>
    internal static PutRequest Read(ref HeaderReader reader, ReadOnlySpan<long> frames)
    {
        var put = new PutFields();
        while (reader.Next(Known) is { } key)
            put.Read(key, ref reader);
        int rows = reader.Required(put.Rows, "n");
        var columns = reader.Required(put.Columns, "columns");
        CheckFrames(columns, rows, frames);
        put.CheckRowNames(ref reader, rows);
        var tags = put.Tags is { } bytes ? PackedTags.Parse(bytes, rows) : null;
        return new PutRequest(rows, put.Selection is null ? put.Partition : null, put.Keys, put.Selection, tags, columns, reader.Required(put.Want, "want"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("n", Rows);
        writer.Entry("partition", Partition);
        writer.Keys("keys", Keys);
        writer.Selection(Selection);
        writer.Entry("tags", Tags?.Bytes);
        writer.Entry("columns", Columns);
        writer.Entry("want", Want.ToString().ToLowerInvariant());
    }

    private static void CheckFrames(ImmutableArray<ColumnDescriptor> columns, int rows, ReadOnlySpan<long> frames)
    {
        if (columns.Length != frames.Length)
            throw new ProtocolException($"PUT: {columns.Length} columns, {frames.Length} frames; each column is one frame");
        for (int i = 0; i < frames.Length; i++)
            ColumnFrame.CheckLength(columns[i], rows, frames[i]);
    }
}

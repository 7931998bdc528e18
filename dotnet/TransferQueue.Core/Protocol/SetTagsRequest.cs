using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>SET_TAGS: merges tags into the rows' tags, or replaces these.</summary>
/// <param name="Selection">Which rows.</param>
/// <param name="Tags">One per row.</param>
/// <param name="Replace">Whether the rows' old tags go.</param>
internal sealed record SetTagsRequest(RowSelection Selection, PackedTags Tags, bool Replace) : Request
{
    private static readonly HeaderKeys Keys = new("parts", "indexes", "generations", "tags", "replace");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.SetTags;

    /// <summary>Reads the header.</summary>
    internal static SetTagsRequest Read(ref HeaderReader reader)
    {
        ImmutableArray<PartitionRun> parts = default;
        ImmutableArray<long> indexes = default;
        ImmutableArray<uint> generations = default;
        ReadOnlyMemory<byte>? tags = null;
        bool? replace = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "parts":
                    parts = reader.Parts();
                    break;
                case "indexes":
                    indexes = reader.Indexes();
                    break;
                case "generations":
                    generations = reader.Generations();
                    break;
                case "tags":
                    tags = reader.Binary();
                    break;
                default:
                    replace = reader.Boolean();
                    break;
            }
        }
        var selection = reader.Selection(parts, indexes, generations);
        return new SetTagsRequest(selection, PackedTags.Parse(reader.Required(tags, "tags"), selection.Rows), reader.Required(replace, "replace"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Selection(Selection);
        writer.Entry("tags", Tags.Bytes);
        writer.Entry("replace", Replace);
    }
}

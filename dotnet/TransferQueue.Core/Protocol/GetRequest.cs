using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>GET: columns of rows, which are named by their keys in one partition or by their indexes.</summary>
/// <param name="Partition">With keys: their partition; else null.</param>
/// <param name="Keys">Keys, or default.</param>
/// <param name="Selection">Rows by index, or null.</param>
/// <param name="Fields">The fields wanted; default: those that all rows have.</param>
/// <param name="Strict">Whether a row or a cell that is not there is an error.</param>
internal sealed record GetRequest(string? Partition, ImmutableArray<string> Keys, RowSelection? Selection, ImmutableArray<string> Fields, bool Strict)
    : Request
{
    private static readonly HeaderKeys Known = new("partition", "keys", "parts", "indexes", "generations", "fields", "strict");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Get;

    /// <summary>Reads the header.</summary>
    internal static GetRequest Read(ref HeaderReader reader)
    {
        string? partition = null;
        ImmutableArray<string> keys = default, fields = default;
        ImmutableArray<PartitionRun> parts = default;
        ImmutableArray<long> indexes = default;
        ImmutableArray<uint> generations = default;
        bool? strict = null;
        while (reader.Next(Known) is { } key)
        {
            switch (key)
            {
                case "partition":
                    partition = reader.Name();
                    break;
                case "keys":
                    keys = reader.Keys();
                    break;
                case "parts":
                    parts = reader.Parts();
                    break;
                case "indexes":
                    indexes = reader.Indexes();
                    break;
                case "generations":
                    generations = reader.Generations();
                    break;
                case "fields":
                    fields = reader.Names();
                    break;
                default:
                    strict = reader.Boolean();
                    break;
            }
        }
        bool byKeys = partition is not null || !keys.IsDefault;
        if (byKeys && !(parts.IsDefault && indexes.IsDefault && generations.IsDefault))
            throw new ProtocolException("GET: 'partition' and 'keys', or 'parts' and 'indexes'; not both");
        if (byKeys)
            return new GetRequest(
                reader.Required(partition, "partition"), reader.Required(keys, "keys"), null, fields, reader.Required(strict, "strict"));
        return new GetRequest(null, default, reader.Selection(parts, indexes, generations), fields, reader.Required(strict, "strict"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("partition", Partition);
        writer.Keys("keys", Keys);
        writer.Selection(Selection);
        writer.Entry("fields", Fields);
        writer.Entry("strict", Strict);
    }
}

using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>CLEAR_ROWS: drops rows by index.</summary>
/// <param name="Selection">Which.</param>
internal sealed record ClearRowsRequest(RowSelection Selection) : Request
{
    private static readonly HeaderKeys Keys = new("parts", "indexes", "generations");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.ClearRows;

    /// <summary>Reads the header.</summary>
    internal static ClearRowsRequest Read(ref HeaderReader reader)
    {
        ImmutableArray<PartitionRun> parts = default;
        ImmutableArray<long> indexes = default;
        ImmutableArray<uint> generations = default;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "parts")
                parts = reader.Parts();
            else if (key == "indexes")
                indexes = reader.Indexes();
            else
                generations = reader.Generations();
        }
        return new ClearRowsRequest(reader.Selection(parts, indexes, generations));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Selection(Selection);
}

using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to PRODUCTION_STATUS and CONSUMPTION_STATUS.</summary>
/// <param name="Found">Whether there is such a partition, with all these fields.</param>
/// <param name="Indexes">Global indexes int64[B], ascending; default where not found.</param>
/// <param name="Status">int8[B × F] row by row, 1 there, or int8[B], 1 consumed; default where not found.</param>
internal sealed record StatusReply(bool Found, ReadOnlyMemory<long> Indexes, ReadOnlyMemory<sbyte> Status) : Reply
{
    private static readonly HeaderKeys Keys = new("found", "indexes", "status");

    /// <summary>The reply where the partition or a field is not there.</summary>
    internal static StatusReply NotFound { get; } = new(false, default, default);

    /// <summary>Reads the header.</summary>
    internal static StatusReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to STATUS", header, ProtocolLimits.Default);
        bool? found = null;
        ImmutableArray<long> indexes = default;
        ImmutableArray<sbyte> status = default;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "found")
                found = reader.Boolean();
            else if (key == "indexes")
                indexes = reader.Indexes();
            else
                status = reader.Numbers<sbyte>(long.MaxValue);
        }
        if (reader.Required(found, "found"))
            return new StatusReply(true, reader.Required(indexes, "indexes").AsMemory(), reader.Required(status, "status").AsMemory());
        return NotFound;
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("found", Found);
        if (!Found)
            return;
        writer.Numbers("indexes", Indexes.Span);
        writer.Numbers("status", Status.Span);
    }
}

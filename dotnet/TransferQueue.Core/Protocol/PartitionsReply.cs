using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to PARTITIONS.</summary>
/// <param name="Names">In the order of their creation.</param>
internal sealed record PartitionsReply(ImmutableArray<string> Names) : Reply
{
    private static readonly HeaderKeys Keys = new("partitions");

    /// <summary>Reads the header.</summary>
    internal static PartitionsReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to PARTITIONS", header, ProtocolLimits.Default);
        ImmutableArray<string> names = default;
        while (reader.Next(Keys) is not null)
            names = reader.Names(reader.Limits.Rows);
        return new PartitionsReply(reader.Required(names, "partitions"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("partitions", Names);
}

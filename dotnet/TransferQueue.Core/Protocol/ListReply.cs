using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to LIST.</summary>
/// <param name="Partitions">In the order of their creation.</param>
internal sealed record ListReply(ImmutableArray<ListedPartition> Partitions) : Reply
{
    private static readonly HeaderKeys Keys = new("partitions");

    /// <summary>Reads the header.</summary>
    internal static ListReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to LIST", header, ProtocolLimits.Default);
        ImmutableArray<ListedPartition> partitions = default;
        while (reader.Next(Keys) is not null)
            partitions = ReadPartitions(ref reader);
        return new ListReply(reader.Required(partitions, "partitions"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("partitions", Partitions);

    private static ImmutableArray<ListedPartition> ReadPartitions(ref HeaderReader reader)
    {
        int count = reader.List(reader.Limits.Rows);
        var partitions = ImmutableArray.CreateBuilder<ListedPartition>();
        for (int i = 0; i < count; i++)
        {
            reader.Tuple(5);
            partitions.Add(new ListedPartition(
                reader.Name(), reader.Integer(0), reader.PackedKeys(), reader.Binary(), reader.Nil() ? null : reader.PackedKeys()));
        }
        return partitions.ToImmutable();
    }
}

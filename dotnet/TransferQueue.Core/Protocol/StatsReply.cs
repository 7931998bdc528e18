using System.Buffers;
using System.Collections.Immutable;
using MessagePack;

namespace TransferQueue.Protocol;

/// <summary>The reply to STATS. Its header is the map of counters itself.</summary>
/// <param name="Values">Counter → value, sorted by name.</param>
internal sealed record StatsReply(ImmutableSortedDictionary<string, long> Values) : Reply
{
    /// <summary>Reads the header.</summary>
    internal static StatsReply Read(ReadOnlyMemory<byte> header) =>
        new(Counters.Read(new HeaderReader("reply to STATS", header, ProtocolLimits.Default)));

    /// <inheritdoc/>
    internal override ReadOnlyMemory<byte> ToHeader()
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteMapHeader(Values.Count);
        foreach (var (name, value) in Values)
        {
            writer.Write(name);
            writer.Write(value);
        }
        writer.Flush();
        return buffer.WrittenMemory;
    }

    /// <inheritdoc/>
    internal override void WriteHeader(IBufferWriter<byte> destination) => destination.Write(ToHeader().Span);

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => throw new NotSupportedException();
}

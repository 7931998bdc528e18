using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>A segment of shared memory.</summary>
/// <param name="Number">From 0, without gaps.</param>
/// <param name="Length">Bytes of its address room; grows never.</param>
internal readonly record struct SharedSegment(int Number, long Length);

/// <summary>The reply to MEMORY. A file per segment comes with its first byte, in the same order.</summary>
/// <param name="Segments">The segments from the number asked for on, ascending.</param>
internal sealed record MemoryReply(ImmutableArray<SharedSegment> Segments) : Reply
{
    private static readonly HeaderKeys Keys = new("segments");

    /// <summary>Reads the header.</summary>
    internal static MemoryReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to MEMORY", header, ProtocolLimits.Default);
        ImmutableArray<SharedSegment> segments = default;
        while (reader.Next(Keys) is not null)
            segments = reader.Segments();
        return new MemoryReply(reader.Required(segments, "segments"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("segments", Segments);
}

using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>RESERVE: room in shared memory for the large frames of one put.</summary>
/// <param name="Bytes">Bytes of each frame, i64[k]; at least one, at most as many as a message may have frames.</param>
internal sealed record ReserveRequest(ImmutableArray<long> Bytes) : Request
{
    private static readonly HeaderKeys Keys = new("bytes");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Reserve;

    /// <summary>Reads the header.</summary>
    internal static ReserveRequest Read(ref HeaderReader reader)
    {
        ImmutableArray<long> bytes = default;
        while (reader.Next(Keys) is not null)
        {
            bytes = reader.Numbers<long>(reader.Limits.Frames);
            foreach (long length in bytes)
            {
                if (length < FramePlace.SmallestBytes)
                    throw reader.Broken($"a frame of {length} bytes; frames below {FramePlace.SmallestBytes} bytes are sent in the message");
                ProtocolLimits.Check("RESERVE: bytes of a frame", length, reader.Limits.FrameBytes);
            }
            if (bytes.IsEmpty)
                throw reader.Broken("no frame");
        }
        return new ReserveRequest(reader.Required(bytes, "bytes"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Numbers("bytes", Bytes);
}

using System.Buffers;

namespace TransferQueue.Protocol;

/// <summary>A reply's header, read or to be written; which type it has follows from the request. Immutable.</summary>
internal abstract record Reply
{
    /// <summary>The type, as the prelude has it: OK, but for <see cref="ErrorReply"/>.</summary>
    internal virtual MessageType Type => MessageType.Ok;

    /// <summary>The header's bytes.</summary>
    internal virtual ReadOnlyMemory<byte> ToHeader()
    {
        var writer = new HeaderWriter();
        Write(ref writer);
        return writer.Finish();
    }

    /// <summary>Appends the header's bytes to <paramref name="destination"/>.</summary>
    internal virtual void WriteHeader(IBufferWriter<byte> destination)
    {
        var writer = new HeaderWriter();
        Write(ref writer);
        writer.FinishTo(destination);
    }

    /// <summary>Writes the header's entries.</summary>
    private protected abstract void Write(ref HeaderWriter writer);
}

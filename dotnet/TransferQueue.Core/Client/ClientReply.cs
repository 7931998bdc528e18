using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>An answer in native memory: one buffer for the header and one per frame, so that each can go back on its own.</summary>
/// <remarks>Whoever takes the header or a frame disposes it; Dispose gives back the rest.</remarks>
internal sealed class ClientReply : IDisposable
{
    private readonly List<NativeBuffer> _frames = [];
    private NativeBuffer? _header;

    /// <summary>Takes a complete message's buffers; the message is as new then.</summary>
    public ClientReply(IncomingMessage message)
    {
        Prelude = message.Prelude;
        _header = message.Detach(_frames);
    }

    /// <summary>Its first 48 bytes.</summary>
    public Prelude Prelude { get; }

    /// <summary>Whether it is an ERROR.</summary>
    public bool IsError => Prelude.Type == (ushort)MessageType.Error;

    /// <summary>The request that it answers.</summary>
    public ulong RequestId => Prelude.RequestId;

    /// <summary>The header.</summary>
    public NativeBuffer Header => _header ?? throw new ObjectDisposedException(nameof(ClientReply));

    /// <summary>The frames that were not taken, in order.</summary>
    public IReadOnlyList<NativeBuffer> Frames => _frames;

    /// <summary>The header in memory of its own.</summary>
    public ReadOnlyMemory<byte> CopyHeader() => Header.Span.ToArray();

    /// <summary>Makes header and frames the caller's.</summary>
    public NativeBuffer Detach()
    {
        NativeBuffer header = Header;
        _header = null;
        _frames.Clear();
        return header;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _header?.Dispose();
        _header = null;
        foreach (NativeBuffer frame in _frames)
            frame.Dispose();
        _frames.Clear();
    }
}

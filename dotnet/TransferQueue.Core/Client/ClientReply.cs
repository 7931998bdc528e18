using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>An answer in native memory: one buffer for the header and one per frame, so that each can go back on its own.</summary>
/// <remarks>Whoever takes the header or a frame disposes it; Dispose gives back the rest.</remarks>
internal sealed class ClientReply : IDisposable
{
    private readonly List<NativeBuffer?> _frames = [];
    private readonly ulong[] _frameLengths = [];
    private readonly ulong[] _places = [];
    private int[] _fds;
    private NativeBuffer? _header;

    /// <summary>Takes a complete message's buffers; the message is as new then.</summary>
    public ClientReply(IncomingMessage message)
    {
        Prelude = message.Prelude;
        _fds = message.TakeFds();
        if (!message.Places.IsEmpty)
            (_places, _frameLengths) = (message.Places.ToArray(), message.FrameLengths.ToArray());
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

    /// <summary>The frames that were not taken, in order; null stands for a placed one.</summary>
    public IReadOnlyList<NativeBuffer?> Frames => _frames;

    /// <summary>Where each frame lies (<see cref="Columns.FramePlace"/>); empty: none is placed.</summary>
    public ReadOnlySpan<ulong> Places => _places;

    /// <summary>Bytes of each frame; empty if none is placed.</summary>
    public ReadOnlySpan<ulong> FrameLengths => _frameLengths;

    /// <summary>The lease of the placed frames; 0: none.</summary>
    public ulong Lease => Prelude.Acknowledged;

    /// <summary>The header in memory of its own.</summary>
    public ReadOnlyMemory<byte> CopyHeader() => Header.Span.ToArray();

    /// <summary>Makes the open files that came along the caller's, who closes them.</summary>
    public int[] TakeFds()
    {
        int[] fds = _fds;
        _fds = [];
        return fds;
    }

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
        foreach (NativeBuffer? frame in _frames)
            frame?.Dispose();
        _frames.Clear();
        foreach (int fd in TakeFds())
            UnixSocket.Close(fd);
    }
}

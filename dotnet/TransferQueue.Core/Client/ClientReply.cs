using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>
/// An answer in native memory: one buffer for the header and one per frame, so that each can go back on its own. Frames in shared memory are
/// places at first, under a lease, and become views by <see cref="ViewFrames"/>.
/// </summary>
/// <remarks>Whoever takes the header or a frame disposes it; Dispose gives back the rest.</remarks>
internal sealed class ClientReply : IDisposable
{
    private readonly List<ReplyFrame> _frames = [];
    private readonly ulong[] _frameLengths = [];
    private readonly SharedMemory? _memory;
    private ulong[] _places = [];
    private ViewLease? _lease;
    private int[] _fds;
    private NativeBuffer? _header;

    /// <summary>Takes a complete message's buffers; the message is as new then.</summary>
    /// <param name="message">What came.</param>
    /// <param name="memory">Where its placed frames are; null: it may have none.</param>
    public ClientReply(IncomingMessage message, SharedMemory? memory = null)
    {
        List<NativeBuffer?> buffers = [];
        Prelude = message.Prelude;
        _memory = memory;
        _fds = message.TakeFds();
        if (!message.Places.IsEmpty)
            (_places, _frameLengths) = (message.Places.ToArray(), message.FrameLengths.ToArray());
        _header = message.Detach(buffers);
        foreach (NativeBuffer? buffer in buffers)
            _frames.Add(buffer is null ? default : new ReplyFrame(buffer.Segment, buffer));
        if (Prelude.Acknowledged != 0 && memory is not null)
            _lease = new ViewLease(memory, Prelude.Acknowledged);
    }

    /// <summary>Its first 48 bytes.</summary>
    public Prelude Prelude { get; }

    /// <summary>Whether it is an ERROR.</summary>
    public bool IsError => Prelude.Type == (ushort)MessageType.Error;

    /// <summary>The request that it answers.</summary>
    public ulong RequestId => Prelude.RequestId;

    /// <summary>The header.</summary>
    public NativeBuffer Header => _header ?? throw new ObjectDisposedException(nameof(ClientReply));

    /// <summary>The frames that were not taken, in order; all of them have bytes after <see cref="ViewFrames"/> only.</summary>
    public IReadOnlyList<ReplyFrame> Frames => _frames;

    /// <summary>The header in memory of its own.</summary>
    public ReadOnlyMemory<byte> CopyHeader() => Header.Span.ToArray();

    /// <summary>Makes the open files that came along the caller's, who closes them.</summary>
    public int[] TakeFds()
    {
        int[] fds = _fds;
        _fds = [];
        return fds;
    }

    /// <summary>Adds a frame that did not come in the message.</summary>
    public void Add(ReplyFrame frame) => _frames.Add(frame);

    /// <summary>Makes the placed frames readable. Once, before anybody reads; may ask the core for a segment.</summary>
    /// <exception cref="ProtocolException">There is no shared memory where they should be.</exception>
    public void ViewFrames()
    {
        for (int i = 0; i < _places.Length; i++)
            if (_places[i] != FramePlace.Inline)
                _frames[i] = View(_places[i], checked((long)_frameLengths[i]));
        _places = [];
        EndLease();
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
        foreach (ReplyFrame frame in _frames)
            frame.Owner?.Dispose();
        _frames.Clear();
        foreach (int fd in TakeFds())
            UnixSocket.Close(fd);
        EndLease();
    }

    private ReplyFrame View(ulong place, long length) => _lease is { } lease
        ? _memory!.View(lease, place, length)
        : throw new ProtocolException($"answer to request {RequestId}: a frame of {length} bytes in shared memory, without a lease or unasked");

    /// <summary>The answer's own hold; the frames have theirs.</summary>
    private void EndLease()
    {
        _lease?.Release();
        _lease = null;
    }
}

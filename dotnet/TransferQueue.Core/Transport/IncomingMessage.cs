using TransferQueue.Memory;

namespace TransferQueue.Transport;

/// <summary>A received message: prelude, header and frames, the bytes in pooled native buffers. Reusable after <see cref="Clear"/> or <see cref="Detach"/>.</summary>
/// <remarks>One thread at a time.</remarks>
internal sealed class IncomingMessage : IDisposable
{
    private readonly List<NativeBuffer> _frames = [];

    /// <summary>Valid once the message is complete.</summary>
    public Prelude Prelude { get; internal set; }

    /// <summary>The header; null before the message is complete and after <see cref="Detach"/>.</summary>
    public NativeBuffer? Header { get; internal set; }

    /// <summary>The frames, in order.</summary>
    public IReadOnlyList<NativeBuffer> Frames => _frames;

    /// <summary>The header's bytes.</summary>
    public ReadOnlySpan<byte> HeaderBytes => Header is { } header ? header.Span : default;

    /// <summary>Gives all buffers back and makes it as new.</summary>
    public void Clear()
    {
        Header?.Dispose();
        foreach (NativeBuffer frame in _frames)
            frame.Dispose();
        Forget();
    }

    /// <summary>Makes it as new; the buffers are the caller's from now on, and the caller gives each back.</summary>
    /// <param name="frames">Gets the frames' buffers, in order.</param>
    /// <returns>The header's buffer.</returns>
    public NativeBuffer? Detach(List<NativeBuffer> frames)
    {
        frames.AddRange(_frames);
        NativeBuffer? header = Header;
        Forget();
        return header;
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    internal void Add(NativeBuffer frame) => _frames.Add(frame);

    private void Forget()
    {
        Header = null;
        _frames.Clear();
        Prelude = default;
    }
}

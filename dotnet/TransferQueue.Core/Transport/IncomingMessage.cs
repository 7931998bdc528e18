using System.Runtime.InteropServices;
using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Memory.Native;

namespace TransferQueue.Transport;

/// <summary>
/// A received message: prelude, header and frames. The bytes are in pooled native buffers, but for frames that lie in shared memory: those have a place only.
/// Reusable after <see cref="Clear"/> or <see cref="Detach"/>.
/// </summary>
/// <remarks>One thread at a time.</remarks>
internal sealed class IncomingMessage : IDisposable
{
    private readonly List<NativeBuffer?> _frames = [];
    private readonly List<ulong> _frameLengths = [];
    private readonly List<ulong> _places = [];
    private readonly List<int> _fds = [];

    /// <summary>Valid once the message is complete. <see cref="Prelude.Acknowledged"/> of a reply is its lease, or 0.</summary>
    public Prelude Prelude { get; internal set; }

    /// <summary>The header; null before the message is complete and after <see cref="Detach"/>.</summary>
    public NativeBuffer? Header { get; internal set; }

    /// <summary>The frames, in order; null stands for a placed one.</summary>
    public IReadOnlyList<NativeBuffer?> Frames => _frames;

    /// <summary>Bytes of each frame, placed or not. Valid until the message is used again.</summary>
    public ReadOnlySpan<ulong> FrameLengths => CollectionsMarshal.AsSpan(_frameLengths);

    /// <summary>
    /// Where each frame lies, see <see cref="FramePlace"/>; <see cref="FramePlace.Inline"/>: in its buffer. Empty if the message has no places. Unchecked: the
    /// sender's word. Valid until the message is used again.
    /// </summary>
    public ReadOnlySpan<ulong> Places => CollectionsMarshal.AsSpan(_places);

    /// <summary>Open files that came with it, until somebody takes them.</summary>
    public IReadOnlyList<int> Fds => _fds;

    /// <summary>The header's bytes.</summary>
    public ReadOnlySpan<byte> HeaderBytes => Header is { } header ? header.Span : default;

    /// <summary>Gives all buffers back, closes files and makes it as new.</summary>
    public void Clear()
    {
        Header?.Dispose();
        foreach (NativeBuffer? frame in _frames)
            frame?.Dispose();
        Forget();
    }

    /// <summary>Makes the files the caller's, who closes them.</summary>
    public int[] TakeFds()
    {
        if (_fds.Count == 0)
            return [];
        int[] taken = [.. _fds];
        _fds.Clear();
        return taken;
    }

    /// <summary>
    /// Makes it as new, and closes files that were not taken; the buffers are the caller's from now on, and the caller gives each back. Look at
    /// lengths, places and files before.
    /// </summary>
    /// <param name="frames">Gets the frames' buffers, in order; null for a placed one.</param>
    /// <returns>The header's buffer.</returns>
    public NativeBuffer? Detach(List<NativeBuffer?> frames)
    {
        frames.AddRange(_frames);
        NativeBuffer? header = Header;
        Forget();
        return header;
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    internal void Add(NativeBuffer frame)
    {
        _frames.Add(frame);
        _frameLengths.Add((ulong)frame.Length);
        if (Prelude.HasPlaces)
            _places.Add(FramePlace.Inline);
    }

    internal void AddPlaced(ulong place, ulong length)
    {
        _frames.Add(null);
        _frameLengths.Add(length);
        _places.Add(place);
    }

    internal void AddFds(List<int> fds)
    {
        _fds.AddRange(fds);
        fds.Clear();
    }

    private void Forget()
    {
        Header = null;
        _frames.Clear();
        _frameLengths.Clear();
        _places.Clear();
        foreach (int fd in _fds)
            _ = Libc.close(fd);
        _fds.Clear();
        Prelude = default;
    }
}

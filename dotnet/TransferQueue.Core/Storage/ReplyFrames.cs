using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>A column of a reply.</summary>
/// <param name="Name">The field.</param>
/// <param name="DType">Its element type.</param>
/// <param name="Pieces">Its rows, in pieces of one layout each.</param>
/// <param name="Frames">Its frames: 1, or 2, the head of its only piece and its values.</param>
internal sealed record FramedColumn(string Name, DType DType, ImmutableArray<ColumnPiece> Pieces, int Frames);

/// <summary>A frame of a reply: a value.</summary>
/// <param name="Length">Bytes.</param>
/// <param name="Place">Where it lies in shared memory; <see cref="FramePlace.Inline"/>: in the message.</param>
internal readonly record struct ReplyFrame(long Length, ulong Place)
{
    /// <summary>Whether it lies in shared memory.</summary>
    public bool IsPlaced => Place != FramePlace.Inline;
}

/// <summary>The frames of a reply: one or two per column, each a place or a chain of stretches of native memory.</summary>
/// <remarks>
/// Stretches lie in leased extents or in scratch of its own: valid until <see cref="Dispose"/>, and as long as the lease lasts.
/// </remarks>
internal sealed class ReplyFrames : IDisposable
{
    private readonly List<NativeBuffer> _scratch;

    internal ReplyFrames(
        ImmutableArray<FramedColumn> columns, ImmutableArray<ReplyFrame> frames, ImmutableArray<NativeSegment> segments, List<NativeBuffer> scratch)
    {
        (Columns, Frames, Segments, _scratch) = (columns, frames, segments, scratch);
    }

    /// <summary>The columns, in the frames' order.</summary>
    public ImmutableArray<FramedColumn> Columns { get; }

    /// <summary>The frames.</summary>
    public ImmutableArray<ReplyFrame> Frames { get; }

    /// <summary>Bytes of each frame.</summary>
    public ImmutableArray<long> FrameLengths => [.. Frames.Select(frame => frame.Length)];

    /// <summary>All frames in the message behind each other; none is empty.</summary>
    public ImmutableArray<NativeSegment> Segments { get; }

    /// <summary>Gives the scratch back.</summary>
    public void Dispose()
    {
        foreach (NativeBuffer buffer in _scratch)
            buffer.Dispose();
        _scratch.Clear();
    }
}

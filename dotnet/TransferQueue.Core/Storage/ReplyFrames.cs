using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>A column of a reply.</summary>
/// <param name="Name">The field.</param>
/// <param name="DType">Its element type.</param>
/// <param name="Pieces">Its rows, in pieces of one layout each.</param>
internal sealed record FramedColumn(string Name, DType DType, ImmutableArray<ColumnPiece> Pieces);

/// <summary>The frames of a reply: one per column, each a chain of stretches of native memory.</summary>
/// <remarks>
/// Stretches lie in leased extents or in scratch of its own: valid until <see cref="Dispose"/>, and as long as the lease lasts.
/// </remarks>
internal sealed class ReplyFrames : IDisposable
{
    private readonly List<NativeBuffer> _scratch;

    internal ReplyFrames(
        ImmutableArray<FramedColumn> columns, ImmutableArray<long> frameLengths, ImmutableArray<NativeSegment> segments, List<NativeBuffer> scratch)
    {
        (Columns, FrameLengths, Segments, _scratch) = (columns, frameLengths, segments, scratch);
    }

    /// <summary>The columns, one frame each.</summary>
    public ImmutableArray<FramedColumn> Columns { get; }

    /// <summary>Bytes of each frame.</summary>
    public ImmutableArray<long> FrameLengths { get; }

    /// <summary>All frames behind each other; none is empty.</summary>
    public ImmutableArray<NativeSegment> Segments { get; }

    /// <summary>Gives the scratch back.</summary>
    public void Dispose()
    {
        foreach (NativeBuffer buffer in _scratch)
            buffer.Dispose();
        _scratch.Clear();
    }
}

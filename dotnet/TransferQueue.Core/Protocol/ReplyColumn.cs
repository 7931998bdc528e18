using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>A column of GET's reply: one frame with one or more pieces side by side.</summary>
/// <param name="Name">The field's name.</param>
/// <param name="DType">Element type of every piece.</param>
/// <param name="Pieces">In the order of the rows; each begins at a multiple of 64 bytes.</param>
internal readonly record struct ReplyColumn(string Name, DType DType, ImmutableArray<ColumnPiece> Pieces)
{
    /// <summary>Rows of all pieces.</summary>
    internal long Rows => Pieces.Sum(piece => (long)piece.Rows);

    /// <summary>Bytes of the frame: up to the end of the last piece.</summary>
    internal long FrameBytes
    {
        get
        {
            long start = 0, end = 0;
            foreach (var piece in Pieces.AsSpan())
            {
                end = checked(start + piece.Bytes);
                start = piece.NextStart(start);
            }
            return end;
        }
    }
}

using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>A column of GET's reply: one frame with one or more pieces side by side, or two frames, a piece's head and its values.</summary>
/// <param name="Name">The field's name.</param>
/// <param name="DType">Element type of every piece.</param>
/// <param name="Pieces">In the order of the rows; each begins at a multiple of 64 bytes.</param>
/// <param name="Frames">Its payload frames: 1, or 2: then offsets, shapes and padding of its only piece are the first, the values the second.</param>
internal readonly record struct ReplyColumn(string Name, DType DType, ImmutableArray<ColumnPiece> Pieces, int Frames = 1)
{
    /// <summary>Most frames of a column.</summary>
    internal const int MostFrames = 2;

    /// <summary>Bytes of the first of two frames.</summary>
    internal long HeadBytes => Pieces[0].Layout.ValuesStart(Pieces[0].Rows);

    /// <summary>Rows of all pieces.</summary>
    internal long Rows => Pieces.Sum(piece => (long)piece.Rows);

    /// <summary>Bytes of its frames: up to the end of the last piece.</summary>
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

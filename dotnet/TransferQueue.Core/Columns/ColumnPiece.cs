namespace TransferQueue.Columns;

/// <summary>Rows of one layout inside a reply's frame; every piece begins at a multiple of 64 bytes (docs/wire.md, section 2).</summary>
/// <param name="Layout">How the rows lie.</param>
/// <param name="Rows">How many.</param>
/// <param name="Bytes">Bytes with offsets, shapes and padding inside.</param>
public readonly record struct ColumnPiece(ColumnLayout Layout, int Rows, long Bytes)
{
    /// <summary>Where the next piece begins, if this one begins at <paramref name="start"/>.</summary>
    public long NextStart(long start) => checked(start + Bytes + ColumnLayout.Alignment - 1) & -ColumnLayout.Alignment;
}

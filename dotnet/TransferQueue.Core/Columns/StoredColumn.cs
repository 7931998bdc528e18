namespace TransferQueue.Columns;

/// <summary>
/// Where one column of the rows of one put lies, and what must be known of it without reading it: a value that Control keeps,
/// Storage made and the records carry.
/// </summary>
/// <param name="Layout">How the rows lie in the extent, which holds one frame as docs/wire.md, section 2 describes it.</param>
/// <param name="Rows">Rows, ≥ 0.</param>
/// <param name="Extent">The bytes; of length 0 if the column has none.</param>
/// <param name="Unit">The storage unit that owns the extent, counted from 0.</param>
/// <param name="Sizes">
/// i32[<paramref name="Rows"/>], lengths along the ragged dimension (jagged); i32[Rows × Rank], a shape per row, filled up
/// with −1 (ragged); null otherwise. Never changed once it is here.
/// </param>
internal sealed record StoredColumn(ColumnLayout Layout, int Rows, ExtentRef Extent, int Unit, int[]? Sizes);

/// <summary>A stretch of rows that lie side by side in one stored column.</summary>
/// <param name="Column">Where they lie.</param>
/// <param name="First">The first of them in the column.</param>
/// <param name="Count">How many, ≥ 1.</param>
internal readonly record struct ColumnRun(StoredColumn Column, int First, int Count);

/// <summary>The rows of one field in the order in which a batch wants them.</summary>
/// <param name="Name">The field.</param>
/// <param name="DType">Its element type; <see cref="DType.None"/> for text and objects.</param>
/// <param name="Runs">The stretches, together as many rows as the batch has.</param>
internal sealed record ColumnRuns(string Name, DType DType, ColumnRun[] Runs);

namespace TransferQueue.Columns;

/// <summary>How the rows of a column lie in memory. The numbers travel on the wire (docs/wire.md, section 2).</summary>
public enum ColumnKind : byte
{
    /// <summary>Every row has one shape; no offsets.</summary>
    Dense = 0,

    /// <summary>One dimension differs from row to row; stored ragged dimension first, with offsets in slices.</summary>
    Jagged = 1,

    /// <summary>Several dimensions, or the rank, differ; offsets in elements and a shape per row.</summary>
    Ragged = 2,

    /// <summary>One string per row: offsets in bytes, UTF-8.</summary>
    Text = 3,

    /// <summary>One opaque byte string per row: offsets in bytes.</summary>
    Object = 4,
}

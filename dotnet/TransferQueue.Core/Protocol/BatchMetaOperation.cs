namespace TransferQueue.Protocol;

/// <summary>What Interop's batch_meta does: docs/wire.md, section 5, function 11. Never renumbered.</summary>
internal enum BatchMetaOperation : long
{
    /// <summary>[meta, bin i64 positions].</summary>
    SelectRows = 1,

    /// <summary>[meta, [names]].</summary>
    SelectFields = 2,

    /// <summary>[meta, n] → [meta…].</summary>
    Chunk = 3,

    /// <summary>[meta] → [meta…].</summary>
    ChunkByPartition = 4,

    /// <summary>[[metas], validate].</summary>
    Concat = 5,

    /// <summary>[meta, meta].</summary>
    Union = 6,

    /// <summary>[meta, bin i64 order].</summary>
    Reorder = 7,

    /// <summary>[meta, [[name, dtype, shape, flags, sizes]…], set_ready].</summary>
    AddFields = 8,

    /// <summary>[meta]: checked, in its shortest form.</summary>
    Validate = 9,

    /// <summary>[meta, tags bin or nil].</summary>
    SetTags = 10,
}

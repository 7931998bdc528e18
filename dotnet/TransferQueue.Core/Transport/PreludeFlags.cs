namespace TransferQueue.Transport;

/// <summary>What a prelude says beyond its numbers (docs/wire.md, sections 1 and 1.1). Messages between hosts have none of them.</summary>
[Flags]
internal enum PreludeFlags : uint
{
    None = 0,

    /// <summary>The places of the frames follow their lengths.</summary>
    Placed = 1,

    /// <summary>Of a request: the answer may have placed frames.</summary>
    Shared = 2,
}

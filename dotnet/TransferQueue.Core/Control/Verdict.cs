namespace TransferQueue.Control;

/// <summary>What became of rows that a sampler of another process picked.</summary>
internal enum Verdict
{
    /// <summary>They are handed out.</summary>
    Accepted,

    /// <summary>A row was offered, but is not free any more: it must be asked again.</summary>
    Outdated,

    /// <summary>A row of an earlier batch is not ready in all fields: the fetch waits.</summary>
    Unready,
}

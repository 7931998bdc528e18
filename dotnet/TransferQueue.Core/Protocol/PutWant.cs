namespace TransferQueue.Protocol;

/// <summary>What a PUT's reply tells.</summary>
internal enum PutWant
{
    /// <summary>"none": nothing.</summary>
    None,

    /// <summary>"kv": the rows' merged tags and the fields that all of them have now.</summary>
    Kv,

    /// <summary>"meta": the rows' batch.</summary>
    Meta,
}

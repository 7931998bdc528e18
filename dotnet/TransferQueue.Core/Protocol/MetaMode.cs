namespace TransferQueue.Protocol;

/// <summary>What META does.</summary>
internal enum MetaMode
{
    /// <summary>"fetch": rows that are ready and that the task has not consumed; they are consumed.</summary>
    Fetch,

    /// <summary>"insert": new rows.</summary>
    Insert,

    /// <summary>"force_fetch": all rows of the partition, ready or not.</summary>
    ForceFetch,
}

namespace TransferQueue.Protocol;

/// <summary>The type of a message, as the prelude has it: never renumbered (docs/wire.md, section 3).</summary>
internal enum MessageType : ushort
{
    /// <summary>Who a client is; answered with who the core is.</summary>
    Hello = 1,

    /// <summary>Nothing but an answer.</summary>
    Ping = 2,

    /// <summary>A client's proof that it has the job's token, over TCP.</summary>
    Auth = 3,

    /// <summary>Columns and tags for rows.</summary>
    Put = 10,

    /// <summary>Columns of rows.</summary>
    Get = 11,

    /// <summary>A batch to read or to fill.</summary>
    Meta = 12,

    /// <summary>The batch of some keys.</summary>
    RetrieveMeta = 13,

    /// <summary>The keys of some rows.</summary>
    RetrieveKeys = 14,

    /// <summary>Keys and tags of partitions.</summary>
    List = 15,

    /// <summary>Drops rows by key.</summary>
    ClearKeys = 16,

    /// <summary>Drops rows by index.</summary>
    ClearRows = 17,

    /// <summary>Drops a partition.</summary>
    ClearPartition = 18,

    /// <summary>Merges or replaces tags.</summary>
    SetTags = 19,

    /// <summary>Which cells are there.</summary>
    ProductionStatus = 20,

    /// <summary>Which rows a task has consumed.</summary>
    ConsumptionStatus = 21,

    /// <summary>Makes consumed rows fetchable again.</summary>
    ResetConsumption = 22,

    /// <summary>Names of the partitions.</summary>
    Partitions = 23,

    /// <summary>Counters.</summary>
    Stats = 24,

    /// <summary>Tags of some rows.</summary>
    Tags = 25,

    /// <summary>What monitoring shows.</summary>
    Metrics = 26,

    /// <summary>The segments of shared memory, with their files.</summary>
    Memory = 30,

    /// <summary>Room in shared memory for a put.</summary>
    Reserve = 31,

    /// <summary>Leases and loans that a client needs no more.</summary>
    Release = 32,

    /// <summary>Keeps leases as long as somebody has a pipe's end.</summary>
    Pin = 33,

    /// <summary>The sampler's process answers a question and waits for the next.</summary>
    SamplerTurn = 40,

    /// <summary>Another sampler picks from now on.</summary>
    SetSampler = 41,

    /// <summary>Begins to save or load a checkpoint, or a half of one.</summary>
    Checkpoint = 50,

    /// <summary>Asks how far a checkpoint is, or ends the work on it.</summary>
    CheckpointProgress = 51,

    /// <summary>A reply: done.</summary>
    Ok = 100,

    /// <summary>A reply: an error.</summary>
    Error = 101,
}

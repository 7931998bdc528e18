using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>A client that may use shared memory: its process, and whether that still lives. Loop thread only.</summary>
/// <param name="id">The client.</param>
/// <param name="processId">The process that made its first connection.</param>
internal sealed class SharedClient(Guid id, int processId)
{
    /// <summary>The client.</summary>
    public Guid Id { get; } = id;

    /// <summary>Its process, for people.</summary>
    public int ProcessId { get; } = processId;

    /// <summary>Connections that are open.</summary>
    public int Connections { get; set; }

    /// <summary>Tells of the process' end; null where it can't be watched: then the end of the last connection counts.</summary>
    public ProcessWatch? Watch { get; set; }

    /// <summary>Whether the process has ended.</summary>
    public bool HasEnded { get; set; }
}

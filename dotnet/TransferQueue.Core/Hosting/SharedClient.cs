using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>Who may use shared memory: a client on this host, or one connection of a gateway; its process, and whether that still lives. Loop thread only.</summary>
/// <param name="id">The client, or a number for the connection alone.</param>
/// <param name="processId">The process that made its first connection.</param>
internal sealed class SharedClient(Guid id, int processId)
{
    /// <summary>In whose name its loans and leases are.</summary>
    public Guid Id { get; } = id;

    /// <summary>Its process, for people.</summary>
    public int ProcessId { get; } = processId;

    /// <summary>Connections that are open.</summary>
    public int Connections { get; set; }

    /// <summary>Tells of the process' end; null where it can't be watched, and for a gateway: then the end of the last connection counts.</summary>
    public ProcessWatch? Watch { get; set; }

    /// <summary>Whether the process has ended.</summary>
    public bool HasEnded { get; set; }
}

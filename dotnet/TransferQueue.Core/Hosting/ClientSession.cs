using System.Runtime.InteropServices;

namespace TransferQueue.Hosting;

/// <summary>What the core knows of one connection. Loop thread only.</summary>
internal sealed class ClientSession
{
    /// <summary>Whether HELLO was answered; before that no other request is.</summary>
    public bool IsGreeted { get; private set; }

    /// <summary>Which client this is; a client has many connections. Empty before HELLO.</summary>
    public Guid Client { get; private set; }

    /// <summary>Whether shared memory was offered on this connection.</summary>
    public bool IsShared { get; set; }

    /// <summary>The process that the client says it is; for people.</summary>
    public int ProcessId { get; private set; }

    /// <summary>Notes who it is.</summary>
    public void Greet(ReadOnlySpan<byte> client, int processId)
    {
        Client = MemoryMarshal.Read<Guid>(client);
        ProcessId = processId;
        IsGreeted = true;
    }
}

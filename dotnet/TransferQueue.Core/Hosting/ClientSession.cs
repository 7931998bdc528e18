using System.Runtime.InteropServices;

namespace TransferQueue.Hosting;

/// <summary>What the core knows of one connection. Loop thread only.</summary>
internal sealed class ClientSession
{
    /// <summary>Whether HELLO was answered; before that no other request is.</summary>
    public bool IsGreeted { get; private set; }

    /// <summary>Which client this is; a client has many connections. Empty before HELLO.</summary>
    public Guid Client { get; private set; }

    /// <summary>Who has the leases of what is read here: the client, or, where a gateway reads for it, this connection alone.</summary>
    public Guid Holder { get; private set; }

    /// <summary>Whether a gateway reads and writes for a client on another host.</summary>
    public bool IsRelayed => Holder != Client;

    /// <summary>Whether answers on this connection may have frames in shared memory.</summary>
    public bool IsShared { get; set; }

    /// <summary>The process that the client says it is; for people.</summary>
    public int ProcessId { get; private set; }

    /// <summary>Notes who it is.</summary>
    public void Greet(ReadOnlySpan<byte> client, int processId, bool isRelayed)
    {
        Client = MemoryMarshal.Read<Guid>(client);
        Holder = isRelayed ? Guid.NewGuid() : Client;
        ProcessId = processId;
        IsGreeted = true;
    }
}

using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>
/// A request with an effect that has not been answered yet. The same id may come again on another connection meanwhile: then the
/// answer goes there. Loop thread only.
/// </summary>
/// <param name="connection">Where the answer goes.</param>
/// <param name="client">Whose request it is.</param>
/// <param name="requestId">Its id, unique in the client.</param>
internal sealed class Call(ServerConnection connection, Guid client, ulong requestId)
{
    /// <summary>Where the answer goes.</summary>
    public ServerConnection Connection { get; set; } = connection;

    /// <summary>Whose request it is.</summary>
    public Guid Client { get; } = client;

    /// <summary>Its id, unique in the client.</summary>
    public ulong RequestId { get; } = requestId;
}

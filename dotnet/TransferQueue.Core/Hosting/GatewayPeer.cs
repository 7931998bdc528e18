using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>A client on another host, as the gateway knows it.</summary>
/// <param name="peer">Its side of NetMQ.</param>
internal sealed class GatewayPeer(RouterPeer peer)
{
    /// <summary>Its side of NetMQ. Endpoint thread only.</summary>
    public RouterPeer Peer { get; } = peer;

    /// <summary>What it must prove its token over; null before HELLO. Endpoint thread only.</summary>
    public byte[]? Nonce { get; set; }

    /// <summary>The client that it says it is; its proof is for this one. Endpoint thread only.</summary>
    public byte[] Client { get; set; } = [];

    /// <summary>The HELLO that goes to the core once the proof is there. Endpoint thread only.</summary>
    public ReadOnlyMemory<byte> Hello { get; set; }

    /// <summary>Whether it has proven the token. Endpoint thread only.</summary>
    public bool IsProven { get; set; }

    /// <summary>Its own connection to the core; null before the proof and after the end. Loop thread only.</summary>
    public ServerConnection? Core { get; set; }
}

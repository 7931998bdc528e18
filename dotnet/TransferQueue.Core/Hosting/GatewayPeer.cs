using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>A client on another host, as the gateway knows it.</summary>
/// <param name="peer">Its side of NetMQ.</param>
internal sealed class GatewayPeer(RouterPeer peer)
{
    /// <summary>Request ids from here on are the gateway's own (docs/wire.md, section 1).</summary>
    public const ulong FirstOurs = 1UL << 63;

    private ulong _lastOurs = FirstOurs;

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

    /// <summary>Answers that go out when the core has ended their leases, by the gateway's own requests. Loop thread only.</summary>
    public Dictionary<ulong, RelayedReply> Releasing { get; } = [];

    /// <summary>Whether a request on the connection to the core is the gateway's, not its client's.</summary>
    public static bool IsOurs(ulong requestId) => requestId >= FirstOurs;

    /// <summary>The id of the gateway's next request on the connection to the core. Loop thread only.</summary>
    public ulong NextOurs() => ++_lastOurs;
}

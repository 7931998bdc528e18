using TransferQueue.Memory;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>
/// An answer of the core on its way through the gateway. Frames that lie in shared memory are copied from there, then their lease is given back, and
/// only when the core has answered that does the message go out: a lease ends with its connection at the latest, so it was held until the last byte was copied.
/// </summary>
/// <param name="peer">Whose answer it is.</param>
/// <param name="core">The connection that it came on.</param>
/// <param name="requestId">What was asked.</param>
/// <param name="lease">The lease of its placed frames; 0: there are none.</param>
internal sealed class RelayedReply(GatewayPeer peer, ServerConnection core, ulong requestId, ulong lease)
{
    /// <summary>Whose answer it is.</summary>
    public GatewayPeer Peer { get; } = peer;

    /// <summary>The connection that it came on.</summary>
    public ServerConnection Core { get; } = core;

    /// <summary>What was asked.</summary>
    public ulong RequestId { get; } = requestId;

    /// <summary>The lease of its placed frames; 0: there are none.</summary>
    public ulong Lease { get; } = lease;

    /// <summary>What goes out.</summary>
    public MultipartMessage Message { get; } = new();

    /// <summary>Frames that lie in shared memory, and where in <see cref="Message"/> they go.</summary>
    public List<(ulong Place, NativeSegment Target)> Placed { get; } = [];
}

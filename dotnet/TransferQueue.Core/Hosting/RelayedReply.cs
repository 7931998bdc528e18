using TransferQueue.Memory;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>
/// An answer of the core on its way through the gateway. Frames that lie in shared memory are copied from there, then their lease is given back, and
/// only when the core has answered that does the message go out: a lease ends with its connection at the latest, so it was held until the last byte was copied.
/// </summary>
/// <param name="Peer">Whose answer it is.</param>
/// <param name="RequestId">What was asked.</param>
/// <param name="Lease">The lease of its placed frames; 0: there are none.</param>
internal sealed record RelayedReply(GatewayPeer Peer, ulong RequestId, ulong Lease)
{
    /// <summary>What goes out.</summary>
    public MultipartMessage Message { get; } = new();

    /// <summary>Frames that lie in shared memory, and where in <see cref="Message"/> they go.</summary>
    public List<(ulong Place, NativeSegment Target)> Placed { get; } = [];
}

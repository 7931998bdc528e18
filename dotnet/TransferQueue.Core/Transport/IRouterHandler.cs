namespace TransferQueue.Transport;

/// <summary>What a gateway does with messages from other hosts. Called on the thread of its <see cref="RouterEndpoint"/> only.</summary>
/// <remarks>No call may block. An exception ends the peer that it concerns, and is counted.</remarks>
internal interface IRouterHandler
{
    /// <summary>A message came, checked as far as a transport can. A peer that was unknown so far has no state.</summary>
    /// <param name="peer">From whom.</param>
    /// <param name="prelude">Checked but for its type.</param>
    /// <param name="headerStart">Where the header begins in the first frame.</param>
    /// <param name="message">The handler's from now on; to be disposed, on any thread.</param>
    void Received(RouterPeer peer, in Prelude prelude, int headerStart, MultipartMessage message);

    /// <summary>A message is broken or over a limit. The handler may send an error reply; nothing more of this peer is listened to.</summary>
    void Rejected(RouterPeer peer, in Prelude prelude, TransferQueueException why);

    /// <summary>A peer that had sent something is gone. The last call for it.</summary>
    void Disconnected(RouterPeer peer, string reason);
}

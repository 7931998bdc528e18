namespace TransferQueue.Transport;

/// <summary>What a server does with connections and messages. Called on the thread of its <see cref="ServerLoop"/> only, never twice at once.</summary>
/// <remarks>
/// No call may block or copy much: nobody is served meanwhile. An exception ends the connection that it concerns, and is counted.
/// <see cref="ServerConnection.Send"/> is allowed in every call; completions of messages come after the call, never inside it.
/// </remarks>
internal interface IServerHandler
{
    /// <summary>Somebody came; their user was checked.</summary>
    void Connected(ServerConnection connection);

    /// <summary>A message's header is there, its payload isn't yet.</summary>
    /// <param name="connection">Whose.</param>
    /// <param name="prelude">Checked but for its type.</param>
    /// <param name="frameLengths">Bytes of each frame; those of the inline ones add up to the payload. Valid during the call.</param>
    /// <param name="places">Where each frame lies (<see cref="Columns.FramePlace"/>), the sender's word; empty if no frame is placed. Valid during the call.</param>
    /// <param name="header">The MessagePack map, unchecked. Valid during the call.</param>
    /// <returns>Where the payload goes: the inline frames, one after the other.</returns>
    ReceivePlan Header(
        ServerConnection connection, in Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places, ReadOnlySpan<byte> header);

    /// <summary>Every byte of the payload is in place. Called for plans of kind Into, also for an empty payload.</summary>
    void PayloadReceived(ServerConnection connection, ReceivePlan plan);

    /// <summary>
    /// The connection ended in the middle of the payload: give the room back. Called instead of <see cref="PayloadReceived"/>; behind <see cref="Disconnected"/>
    /// only for a plan that came too late (<see cref="ServerLoop.Continue"/>).
    /// </summary>
    void PayloadLost(ServerConnection connection, ReceivePlan plan);

    /// <summary>The connection is gone; nothing of it is in use any more. A payload that was to wait needs no other plan now. The last call for it.</summary>
    void Disconnected(ServerConnection connection, string reason);

    /// <summary>
    /// A message is broken or over a limit. The handler may send an error reply; the transport reads nothing more and ends the
    /// connection when the reply is out.
    /// </summary>
    void Rejected(ServerConnection connection, in Prelude prelude, TransferQueueException why);

    /// <summary>Called in every round of the loop, also when nothing is due: it must be cheap then.</summary>
    /// <param name="nowMilliseconds"><see cref="Environment.TickCount64"/>.</param>
    /// <returns>When it must be called again at the latest, in the same clock; long.MaxValue: whenever something happens.</returns>
    long Tick(long nowMilliseconds);
}

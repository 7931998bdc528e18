namespace TransferQueue.Transport;

/// <summary>
/// A client's connection to a server, over a Unix socket or over NetMQ. Waits are short and can be resumed, so that a caller can look at its
/// own deadline, or at a Ctrl-C, every 100 ms.
/// </summary>
/// <remarks>One thread at a time; a sender and a receiver may be two threads at once where an implementation says so.</remarks>
internal interface IMessageChannel : IDisposable
{
    /// <summary>Sends a sealed message, or what is left of it.</summary>
    /// <param name="message">Its memory must stay until all was sent.</param>
    /// <param name="waitMilliseconds">How long to wait for room at most; 0: not at all.</param>
    /// <returns>Whether all was sent; if not, call again with the same message and nothing in between.</returns>
    /// <exception cref="ConnectionLostException">The server closed the connection. An error reply may be there to be received nevertheless.</exception>
    bool TrySend(OutgoingMessage message, int waitMilliseconds);

    /// <summary>Receives a message, or more of it.</summary>
    /// <param name="message">Takes the message; the same one until this returns true.</param>
    /// <param name="waitMilliseconds">How long to wait for bytes at most; 0: not at all.</param>
    /// <returns>Whether a whole message is there.</returns>
    /// <exception cref="ConnectionLostException">The connection ended.</exception>
    /// <exception cref="ProtocolException">What came is no message, or over a limit (<see cref="LimitExceededException"/>, <see cref="ProtocolVersionException"/>).</exception>
    bool TryReceive(IncomingMessage message, int waitMilliseconds);
}

namespace TransferQueue.Client;

/// <summary>
/// A connection to a core that carries requests one way and answers the other: a Unix socket, or NetMQ's dealer between hosts.
/// One thread sends while another receives; <see cref="IDisposable.Dispose"/> from any thread ends both.
/// </summary>
/// <remarks>All calls throw <see cref="ConnectionLostException"/> once the other side is gone.</remarks>
internal interface IClientConnection : IDisposable
{
    /// <summary>Goes on sending a message.</summary>
    /// <param name="message">The same until it is sent whole.</param>
    /// <param name="wait">How long to wait for room; zero: not at all.</param>
    /// <returns>Whether all of it is on its way.</returns>
    bool Send(RequestMessage message, TimeSpan wait);

    /// <summary>Waits for room to send.</summary>
    void WaitForRoom(TimeSpan wait);

    /// <summary>Goes on receiving.</summary>
    /// <param name="wait">How long to wait; zero: takes only what is there.</param>
    /// <returns>The next answer, the caller's; null if it is not there yet.</returns>
    /// <exception cref="ProtocolException">The other side broke the wire's rules; also its leaves' siblings for versions and limits.</exception>
    ClientReply? Receive(TimeSpan wait);
}

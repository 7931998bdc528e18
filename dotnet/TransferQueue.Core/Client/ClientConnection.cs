using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>A connection to a core: requests one way, answers the other.</summary>
/// <remarks>
/// One thread may send while another receives. Dispose when neither does: the descriptor's number may go to somebody else at once.
/// </remarks>
internal sealed class ClientConnection(IMessageChannel channel) : IDisposable
{
    private readonly IncomingMessage _incoming = new();

    /// <summary>For the request of whoever has this connection to himself.</summary>
    public RequestMessage Message { get; } = new();

    /// <summary>The core's shared memory; null: it is not used. Set once, after the handshake.</summary>
    public SharedMemory? Memory { get; set; }

    /// <summary>Goes on sending a message.</summary>
    /// <param name="message">The same until it is sent whole.</param>
    /// <param name="wait">How long to wait for room; zero: not at all.</param>
    /// <returns>Whether all of it is on its way.</returns>
    /// <exception cref="ConnectionLostException">The core is gone; an answer may be there nevertheless.</exception>
    public bool Send(RequestMessage message, TimeSpan wait) => channel.TrySend(message.Outgoing, ToMilliseconds(wait));

    /// <summary>Goes on receiving.</summary>
    /// <param name="wait">How long to wait; zero: takes only what is there.</param>
    /// <returns>The next answer, the caller's; null if it is not there yet.</returns>
    /// <exception cref="ConnectionLostException">The core is gone.</exception>
    /// <exception cref="TransferQueueException">The core broke the wire's rules, or there is no memory for the answer.</exception>
    public ClientReply? Receive(TimeSpan wait) =>
        channel.TryReceive(_incoming, ToMilliseconds(wait)) ? new ClientReply(_incoming, Memory) : null;

    /// <inheritdoc/>
    public void Dispose()
    {
        Message.Clear();
        channel.Dispose();
        _incoming.Dispose();
    }

    private static int ToMilliseconds(TimeSpan wait) => (int)Math.Ceiling(wait.TotalMilliseconds);
}

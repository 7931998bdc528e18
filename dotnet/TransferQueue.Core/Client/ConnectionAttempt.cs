using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>Connects and shakes hands in steps, within the time that the options give for it.</summary>
/// <remarks>One thread at a time. Dispose ends a connection that nobody has taken.</remarks>
/// <param name="session">For whom.</param>
/// <param name="survivesClose">Whether it goes on when the session is closed.</param>
internal sealed class ConnectionAttempt(ClientSession session, bool survivesClose = false) : IDisposable
{
    private readonly Deadline _deadline = Deadline.After(session.Options.ConnectTimeout);
    private ClientConnection? _connection;
    private Handshake? _handshake;
    private ReadOnlyMemory<byte>? _hello;

    /// <summary>Whether somebody listens at the address.</summary>
    public bool HasConnected => _handshake is not null;

    /// <summary>Goes on.</summary>
    /// <returns>The connection, the caller's; null if the core has not answered yet.</returns>
    /// <exception cref="ConnectionLostException">Nobody listens, or the connection ended.</exception>
    /// <exception cref="DeadlineExceededException">The core did not answer in time.</exception>
    /// <exception cref="TransferQueueException">The core refuses; of the kind that it says.</exception>
    public ClientConnection? Step(TimeSpan wait)
    {
        var until = Deadline.Earlier(Deadline.After(wait), _deadline);
        while (_hello is null)
        {
            if (session.IsDisposed && !survivesClose)
                throw session.ClosedHere();
            if (_deadline.IsOver)
                throw new DeadlineExceededException($"core at {session.Options.Address}: no answer to HELLO within {session.Options.ConnectTimeout.TotalSeconds:0.###} s; is it stopped or overloaded?");
            if (until.IsOver)
                return null;
            if (_connection is null)
                Connect(until);
            else
                _hello = _handshake!.Step(until.Left);
        }
        session.Counters.CountConnection();
        _handshake!.Dispose();
        _handshake = null;
        ClientConnection connection = _connection!;
        connection.Memory = session.Greet(HelloReply.Read(_hello.Value));
        _connection = null;
        return connection;
    }

    /// <summary>The header of HELLO's answer, after <see cref="Step"/> has given the connection.</summary>
    public ReadOnlyMemory<byte> Hello => _hello ?? throw new InvalidOperationException("no answer to HELLO yet");

    /// <inheritdoc/>
    public void Dispose()
    {
        _handshake?.Dispose();
        _handshake = null;
        _connection?.Dispose();
        _connection = null;
    }

    private void Connect(Deadline until)
    {
        ServerAddress address = session.Options.Address;
        try
        {
            IMessageChannel channel = address.IsUnix
                ? UnixChannel.Connect(address.Path!, until.Left, ClientMemory.Pool, TransportLimits.Default)
                : DealerChannel.Connect(address.ToString()!, until.Left, ClientMemory.Pool, TransportLimits.Default);
            _connection = new ClientConnection(channel);
            _handshake = new Handshake(session, _connection);
        }
        catch (NotRunningException nobody)
        {
            throw new ConnectionLostException($"core at {session.Options.Address}: nobody answers there; is it running?", nobody);
        }
        catch (DeadlineExceededException)
        {
            // Its queue of new connections is full; the next step tries again.
        }
    }
}

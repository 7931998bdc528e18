namespace TransferQueue.Client;

/// <summary>Connections that wait for their next call: the one used last goes out first, so that few stay warm. Thread-safe.</summary>
internal sealed class ConnectionPool : IDisposable
{
    /// <summary>More threads may call at a time; of what they leave, this many are kept.</summary>
    private const int MostIdle = 64;

    private readonly Lock _gate = new();
    private readonly Stack<ClientConnection> _idle = new();
    private int _mostIdle = MostIdle;
    private bool _isDisposed;

    /// <summary>Takes a connection; null if there is none.</summary>
    public ClientConnection? TryTake()
    {
        lock (_gate)
            return _idle.TryPop(out ClientConnection? connection) ? connection : null;
    }

    /// <summary>Gives back a connection on which nothing is under way.</summary>
    public void Return(ClientConnection connection)
    {
        lock (_gate)
        {
            if (!_isDisposed && _idle.Count < _mostIdle)
            {
                _idle.Push(connection);
                return;
            }
        }
        connection.Dispose();
    }

    /// <summary>From now on keeps one connection only.</summary>
    public void KeepOne()
    {
        lock (_gate)
        {
            _mostIdle = 1;
            while (_idle.Count > 1)
                _idle.Pop().Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            while (_idle.TryPop(out ClientConnection? connection))
                connection.Dispose();
        }
    }
}

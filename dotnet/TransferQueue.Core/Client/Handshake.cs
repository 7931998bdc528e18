using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>
/// The first exchange on a connection: HELLO, and over TCP the proof that this client has the job's token (AUTH). It goes in
/// steps, so that no caller waits long.
/// </summary>
/// <remarks>One thread at a time. Dispose gives back what an unfinished handshake holds; the connection is the caller's.</remarks>
internal sealed class Handshake : IDisposable
{
    private readonly ClientSession _session;
    private readonly ClientConnection _connection;
    private ulong _requestId;
    private bool _isProven;

    /// <summary>Prepares HELLO.</summary>
    public Handshake(ClientSession session, ClientConnection connection)
    {
        (_session, _connection) = (session, connection);
        Prepare(new HelloRequest(session.ClientId, Environment.ProcessId, session.Options.Package, TokenProof: null));
    }

    /// <summary>Goes on.</summary>
    /// <returns>Who the core is; null if it has not answered yet.</returns>
    /// <exception cref="TransferQueueException">The core refuses; of the kind that it says.</exception>
    public ReadOnlyMemory<byte>? Step(TimeSpan wait)
    {
        var until = Deadline.After(wait);
        while (true)
        {
            if (!_connection.Send(_connection.Message, until.Left) || _connection.Receive(until.Left) is not { } reply)
                return null;
            using (reply)
            {
                ReadOnlyMemory<byte> header = reply.CopyHeader();
                if (reply.IsError)
                    throw ErrorReply.Read(header).ToException();
                if (!IsNonce(header))
                    return header;
                Prove(NonceReply.Read(header).Nonce);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _session.Ids.End(_requestId);
        _connection.Message.Clear();
    }

    private unsafe void Prepare(Request asked)
    {
        ReadOnlyMemory<byte> header = asked.ToHeader();
        TimeSpan timeout = _session.Options.ConnectTimeout;
        fixed (byte* at = header.Span)
            _connection.Message.Copy(new ClientRequest((ushort)asked.Type, NativeSegment.At(at, header.Length), [], timeout));
        _requestId = _session.Ids.Begin();
        _connection.Message.Rewind(_requestId, _session.Ids.GetAcknowledged(), timeout);
    }

    private void Prove(ReadOnlyMemory<byte> nonce)
    {
        if (_isProven || _session.Options.Token is not { } token)
            throw new AuthenticationException($"core at {_session.Options.Address}: it asks for the job's token"
                + (_isProven ? " again and again" : "; pass it, or set TRANSFERQUEUE_TOKEN"));
        _isProven = true;
        byte[] mac = TokenProof.Compute(token, _session.ClientId, nonce.Span);
        Dispose();
        Prepare(new AuthRequest(_session.ClientId, nonce, mac));
    }

    /// <summary>Whether this is a gateway that wants proof, whose answer has one entry, and not a core's.</summary>
    private static bool IsNonce(ReadOnlyMemory<byte> header) => header.Span is [0x81, ..];
}

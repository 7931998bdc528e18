using TransferQueue.Protocol;

namespace TransferQueue.Client;

/// <summary>
/// A submitted request that shares a connection with others. Its bytes were copied, so cancelling completes it at once.
/// </summary>
/// <remarks>All but the base's members is used under the multiplexer's lock only.</remarks>
internal sealed class MultiplexedCall : SubmittedCall
{
    private readonly ClientSession _session;
    private readonly Deadline _deadline;
    private readonly TimeSpan _timeout;
    private readonly ushort _type;
    private readonly bool _isServersDefault;
    private bool _isRetired;

    /// <summary>Copies the request.</summary>
    public MultiplexedCall(ClientSession session, ClientRequest request, CompletionQueue queue)
        : base(queue)
    {
        _session = session;
        _isServersDefault = request.Timeout == TimeSpan.Zero;
        _timeout = _isServersDefault ? ClientSession.DefaultTimeout : request.Timeout;
        _deadline = Deadline.After(_timeout + ClientSession.Grace);
        Message = MessagePool.Rent();
        Message.Copy(request);
        _type = request.Type;
        Id = session.Ids.Begin();
        Rewind();
    }

    /// <summary>The request's id.</summary>
    public ulong Id { get; }

    /// <summary>The request's bytes; until <see cref="Retire"/>.</summary>
    public RequestMessage Message { get; }

    /// <summary>How often its connection ended.</summary>
    public int Lost { get; set; }

    /// <summary>Whether the caller's time, and the grace, is over.</summary>
    public bool IsLate => _deadline.IsOver;

    /// <summary>Whether its answer may have a lease.</summary>
    public bool IsGet => _type == (ushort)MessageType.Get;

    /// <summary>The error of a late call.</summary>
    public DeadlineExceededException Late() => BlockingCall.Late(_type, _timeout);

    /// <summary>Back to the start, for the first or the next connection.</summary>
    public void Rewind()
    {
        TimeSpan left = _deadline.Left - ClientSession.Grace;
        Message.Rewind(Id, _session.Ids.GetAcknowledged(), _isServersDefault && Lost == 0 ? TimeSpan.Zero : left > TimeSpan.Zero ? left : TimeSpan.FromMilliseconds(1), shared: IsGet && _session.Memory is not null);
    }

    /// <summary>The call is over and its bytes are not on a connection in part: gives back what it holds. Again: nothing.</summary>
    public void Retire()
    {
        if (_isRetired)
            return;
        _isRetired = true;
        MessagePool.Return(Message);
        _session.Ids.End(Id);
    }

    /// <inheritdoc/>
    public override void Cancel() => CompleteCancelled();
}

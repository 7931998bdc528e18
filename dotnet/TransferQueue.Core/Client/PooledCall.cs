namespace TransferQueue.Client;

/// <summary>A submitted request that is too large to copy: a pool thread makes it a blocking call, straight from the caller's memory.</summary>
internal sealed class PooledCall(ClientSession session, ClientRequest request, CompletionQueue queue) : SubmittedCall(queue)
{
    /// <summary>How long a cancelled call may still read the caller's memory.</summary>
    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(50);

    private volatile bool _isCancelled;
    private SteppedCall? _call;

    /// <summary>Hands the call to the pool.</summary>
    public void Start()
    {
        _call = session.Begin(request);
        ThreadPool.UnsafeQueueUserWorkItem(static call => call.Run(), this, preferLocal: false);
    }

    /// <inheritdoc/>
    public override void Cancel() => _isCancelled = true;

    private void Run()
    {
        using SteppedCall call = _call!;
        try
        {
            ClientReply? reply = null;
            while (reply is null && !_isCancelled)
                reply = call.Step(Slice);
            if (reply is not null)
            {
                Complete(reply);
                return;
            }
            call.Dispose(); // no byte of the caller's is read from here on
            CompleteCancelled();
        }
        catch (Exception error)
        {
            Complete(error);
        }
    }
}

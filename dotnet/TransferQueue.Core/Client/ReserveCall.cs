using System.Collections.Immutable;
using TransferQueue.Protocol;

namespace TransferQueue.Client;

/// <summary>Asks for room in shared memory to compute into. Its answer's frames are that room; disposing them gives back what no put has used up.</summary>
internal sealed class ReserveCall : SteppedCall
{
    private readonly SharedMemory _memory;
    private readonly ImmutableArray<long> _lengths;
    private readonly BlockingCall _call;
    private bool _hasEnded;

    /// <summary>Prepares RESERVE.</summary>
    /// <param name="session">Of whom.</param>
    /// <param name="memory">Where.</param>
    /// <param name="lengths">Bytes of each frame, at least 64 KiB.</param>
    /// <param name="timeout">How long to wait for room; zero: the server's default.</param>
    public ReserveCall(ClientSession session, SharedMemory memory, ImmutableArray<long> lengths, TimeSpan timeout)
    {
        (_memory, _lengths) = (memory, lengths);
        _call = BlockingCall.Of(session, new ReserveRequest(lengths), timeout);
        memory.Hold();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (_hasEnded)
            return;
        _hasEnded = true;
        _call.Dispose();
        _memory.Release();
    }

    /// <inheritdoc/>
    protected override ClientReply? Go(TimeSpan wait) => _call.Step(wait);

    /// <inheritdoc/>
    protected override void Complete(ClientReply reply)
    {
        if (!reply.IsError)
            Attach(reply);
        Dispose();
    }

    private void Attach(ClientReply reply)
    {
        var answer = ReserveReply.Read(reply.CopyHeader());
        if (answer.Places.Length != _lengths.Length)
            throw new ProtocolException($"RESERVE: {_lengths.Length} frames asked, {answer.Places.Length} places came");
        foreach (LoanedFrame frame in Lend(answer))
            reply.Add(new ReplyFrame(frame.Bytes, frame));
    }

    private LoanedFrame[] Lend(ReserveReply answer)
    {
        try
        {
            for (int i = 0; i < _lengths.Length; i++)
                _memory.Find(answer.Places[i], _lengths[i]).Populate(Columns.FramePlace.Offset(answer.Places[i]), _lengths[i]);
            return _memory.Loans.Add((ulong)answer.Loan, answer.Places.AsSpan(), _lengths.AsSpan());
        }
        catch
        {
            _memory.Sender.AddLoan((ulong)answer.Loan);
            throw;
        }
    }
}

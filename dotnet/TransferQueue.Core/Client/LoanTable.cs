namespace TransferQueue.Client;

/// <summary>What a session has on loan to compute into, by address: a put finds there what needs no copy.</summary>
/// <remarks>Thread-safe.</remarks>
internal sealed class LoanTable(SharedMemory memory)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<nint, LoanedFrame> _frames = [];

    /// <summary>Read without the lock: no put looks here while nothing is on loan.</summary>
    private volatile int _count;

    /// <summary>Whether nothing is on loan.</summary>
    public bool IsEmpty => _count == 0;

    /// <summary>Adds the frames of a new loan.</summary>
    public LoanedFrame[] Add(ulong id, ReadOnlySpan<ulong> places, ReadOnlySpan<long> lengths)
    {
        var loan = new Loan(id);
        var frames = new LoanedFrame[places.Length];
        for (int i = 0; i < frames.Length; i++)
            frames[i] = new LoanedFrame(this, memory, loan, places[i], lengths[i]);
        lock (_gate)
        {
            loan.Held = loan.Unused = frames.Length;
            foreach (LoanedFrame frame in frames)
                _frames.Add(frame.Bytes.Address, frame);
            _count = _frames.Count;
        }
        return frames;
    }

    /// <summary>A put takes a frame: no other one can meanwhile.</summary>
    /// <returns>Null if exactly these bytes are not on loan.</returns>
    public LoanedFrame? TryTake(nint address, long length)
    {
        if (IsEmpty)
            return null;
        lock (_gate)
        {
            if (!_frames.TryGetValue(address, out LoanedFrame? frame) || frame.Bytes.Length != length)
                return null;
            Forget(frame);
            frame.Loan.InPut++;
            return frame;
        }
    }

    /// <summary>The put has ended.</summary>
    /// <param name="frame">From <see cref="TryTake"/>.</param>
    /// <param name="isUsed">Whether the core has answered: the frame is used up then, else it is on loan as before.</param>
    public void Settle(LoanedFrame frame, bool isUsed)
    {
        lock (_gate)
        {
            frame.Loan.InPut--;
            if (isUsed)
                frame.Loan.Unused--;
            else if (frame.IsHeld)
            {
                _frames.Add(frame.Bytes.Address, frame);
                _count = _frames.Count;
            }
            EndIfOver(frame.Loan);
        }
    }

    /// <summary>The holder of a frame lets go.</summary>
    internal void LetGo(LoanedFrame frame)
    {
        lock (_gate)
        {
            if (!frame.IsHeld)
                return;
            frame.IsHeld = false;
            frame.Loan.Held--;
            if (_frames.TryGetValue(frame.Bytes.Address, out LoanedFrame? there) && there == frame)
                Forget(frame);
            EndIfOver(frame.Loan);
        }
        memory.Release();
    }

    private void Forget(LoanedFrame frame)
    {
        _frames.Remove(frame.Bytes.Address);
        _count = _frames.Count;
    }

    private void EndIfOver(Loan loan)
    {
        if (!loan.IsOver)
            return;
        loan.Unused = 0;
        memory.Sender.AddLoan(loan.Id);
    }
}

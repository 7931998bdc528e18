using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Protocol;

namespace TransferQueue.Client;

/// <summary>
/// A put whose large frames go through shared memory: room for them is reserved, each is copied there once, and the request says where they
/// lie. A frame that was computed in place (<see cref="LoanTable"/>) is not copied. Small frames go in the message as ever.
/// </summary>
/// <remarks>One thread at a time. Ends without the core's answer: what was reserved is given back; what was on loan before is so again.</remarks>
internal sealed class PlacedPut : SteppedCall
{
    /// <summary>Bytes that are copied before the caller gets a chance to look up.</summary>
    private const long CopiedPerStep = 256 << 20;

    private readonly ClientSession _session;
    private readonly SharedMemory _memory;
    private readonly ClientRequest _request;
    private readonly TimeSpan _timeout;
    private readonly Deadline _deadline;
    private readonly ulong[] _places;
    private readonly List<LoanedFrame> _taken = [];
    private readonly List<int> _reserved = [];
    private readonly BulkCopy _copy = new();

    /// <summary>RESERVE, until its answer is there; null: nothing has to be reserved, or it is.</summary>
    private BlockingCall? _reserve;

    /// <summary>PUT, once all frames have their place.</summary>
    private BlockingCall? _put;
    private ulong _loan;
    private bool _hasEnded;

    /// <summary>Prepares a put; nothing is sent before <see cref="SteppedCall.Step"/>.</summary>
    public PlacedPut(ClientSession session, SharedMemory memory, ClientRequest request)
    {
        (_session, _memory, _request) = (session, memory, request);
        _timeout = request.Timeout == TimeSpan.Zero ? ClientSession.DefaultTimeout : request.Timeout;
        _deadline = Deadline.After(_timeout);
        _places = new ulong[request.FrameLengths.Length];
        memory.Hold();
        TakeLoans();
        if (_reserved.Count > 0)
            _reserve = BlockingCall.Of(session, new ReserveRequest([.. _reserved.Select(frame => request.FrameLengths[frame])]), request.Timeout);
    }

    /// <inheritdoc/>
    public override void Dispose() => End(isAnswered: false);

    /// <inheritdoc/>
    protected override ClientReply? Go(TimeSpan wait)
    {
        try
        {
            return Put(Deadline.After(wait));
        }
        catch (DeadlineExceededException)
        {
            throw BlockingCall.Late(_request.Type, _timeout); // of the whole, not of one of its exchanges
        }
    }

    /// <inheritdoc/>
    protected override void Complete(ClientReply reply) => End(isAnswered: _put is not null);

    private ClientReply? Put(Deadline until)
    {
        ObjectDisposedException.ThrowIf(_hasEnded, this);
        if (_reserve is { } reserve)
        {
            if (reserve.Step(until.Left) is not { } reply)
                return null;
            if (reply.IsError)
                return reply;
            using (reply)
                Take(ReserveReply.Read(reply.CopyHeader()));
            _reserve = null;
        }
        while (!_copy.IsDone)
        {
            if (_session.IsDisposed)
                throw _session.ClosedHere();
            if (!_copy.Run(CopiedPerStep) && until.IsOver)
                return null;
        }
        _put ??= BeginPut();
        return _put.Step(until.Left);
    }

    /// <summary>Sorts the frames: computed in place, to be reserved, in the message.</summary>
    private void TakeLoans()
    {
        Array.Fill(_places, FramePlace.Inline);
        for (int i = 0, frame = 0; frame < _places.Length; frame++)
        {
            FrameSegment first = _request.Segments[i];
            int count = 0;
            for (; i < _request.Segments.Length && _request.Segments[i].Frame == frame; i++)
                count++;
            if (_request.FrameLengths[frame] < FramePlace.SmallestBytes)
                continue;
            if (count == 1 && _memory.Loans.TryTake(first.Bytes.Address, first.Bytes.Length) is { } loaned)
            {
                _places[frame] = loaned.Place;
                _taken.Add(loaned);
            }
            else
                _reserved.Add(frame);
        }
    }

    private void Take(ReserveReply answer)
    {
        _loan = (ulong)answer.Loan;
        if (answer.Places.Length != _reserved.Count)
            throw new ProtocolException($"RESERVE: {_reserved.Count} frames asked, {answer.Places.Length} places came");
        for (int i = 0; i < _reserved.Count; i++)
            _places[_reserved[i]] = answer.Places[i];
        AddCopies();
        _session.Counters.CountCopies(_reserved.Count, _copy.Bytes);
    }

    private void AddCopies()
    {
        int last = -1, reserved = 0;
        long offset = 0;
        MappedSegment? segment = null;
        foreach (FrameSegment part in _request.Segments)
        {
            if (part.Frame != last)
            {
                last = part.Frame;
                segment = null;
                if (reserved < _reserved.Count && _reserved[reserved] == last)
                {
                    reserved++;
                    segment = _memory.Find(_places[last], _request.FrameLengths[last]);
                    offset = FramePlace.Offset(_places[last]);
                }
            }
            if (segment is null)
                continue;
            _copy.Add(part.Bytes, segment, offset);
            offset += part.Bytes.Length;
        }
    }

    private BlockingCall BeginPut()
    {
        if (_deadline.IsOver)
            throw BlockingCall.Late(_request.Type, _timeout);
        bool isFirst = _reserved.Count == 0; // no time has gone by: the server's default stays the server's
        return new BlockingCall(_session, _request.At(_places, isFirst ? _request.Timeout : _deadline.Left));
    }

    private void End(bool isAnswered)
    {
        if (_hasEnded)
            return;
        _hasEnded = true;
        _reserve?.Dispose();
        _put?.Dispose();
        foreach (LoanedFrame frame in _taken)
            _memory.Loans.Settle(frame, isAnswered);
        if (isAnswered)
            _session.Counters.CountMoved(_taken.Count);
        else if (_loan != 0)
            _memory.Sender.AddLoan(_loan);
        _memory.Release();
    }
}

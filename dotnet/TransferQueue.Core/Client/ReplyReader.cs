using TransferQueue.Memory;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>
/// Puts answers together from a stream of bytes. The owner reads into <see cref="Room"/> and tells how much with <see cref="Take"/>;
/// small things pass through one buffer, the bulk of a large frame goes straight to its place.
/// </summary>
/// <remarks>One thread at a time.</remarks>
internal sealed unsafe class ReplyReader : IDisposable
{
    private const int BufferBytes = 64 << 10;

    /// <summary>From here on a stretch is received in place instead of copied.</summary>
    private const long DirectBytes = 16 << 10;
    private const int MostBytesPerRead = 1 << 30;

    private readonly NativeBuffer _buffer = ClientMemory.Pool.Rent(BufferBytes);
    private readonly TransportLimits _limits;
    private int _start;
    private int _end;

    /// <summary>The answer under way; null between answers.</summary>
    private ClientReply? _reply;

    /// <summary>What of it is being received: −1 lengths and header, else the frame.</summary>
    private int _frame;

    /// <summary>Where the rest of that goes.</summary>
    private NativeSegment _missing;

    /// <summary>Makes a reader that refuses what is over the limits.</summary>
    public ReplyReader(TransportLimits limits) => _limits = limits;

    /// <summary>Whether an answer has begun that is not complete.</summary>
    public bool IsInside => _reply is not null || _end > _start;

    /// <summary>Where to read the next bytes to; never empty while <see cref="TryRead"/> found nothing.</summary>
    public Span<byte> Room => IsDirect
        ? new Span<byte>(_missing.Pointer, (int)Math.Min(_missing.Length, MostBytesPerRead))
        : new Span<byte>(_buffer.Address + _end, BufferBytes - _end);

    private bool IsDirect => _reply is not null && _start == _end && _missing.Length >= DirectBytes;

    /// <summary>Counts bytes that were read into <see cref="Room"/>.</summary>
    public void Take(int bytes)
    {
        if (IsDirect)
            _missing = _missing.Skip(bytes);
        else
            _end += bytes;
    }

    /// <summary>Takes the next complete answer.</summary>
    /// <returns>The answer, the caller's; null if bytes are missing.</returns>
    public ClientReply? TryRead()
    {
        if (_reply is null && !TryBegin())
            return null;
        while (true)
        {
            CopyBuffered();
            if (_missing.Length > 0)
                return null;
            if (!TryNextFrame())
                return Finish();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _reply?.Dispose();
        _reply = null;
        _buffer.Dispose();
    }

    private bool TryBegin()
    {
        if (_end - _start < Prelude.Bytes)
        {
            MoveToFront();
            return false;
        }
        var prelude = Prelude.Read(new ReadOnlySpan<byte>(_buffer.Address + _start, Prelude.Bytes));
        if (prelude.Check(_limits) is { } wrong)
            throw wrong;
        _start += Prelude.Bytes;
        _reply = new ClientReply(prelude);
        _frame = -1;
        _missing = _reply.HeadBytes;
        return true;
    }

    private void CopyBuffered()
    {
        long bytes = Math.Min(_end - _start, _missing.Length);
        Buffer.MemoryCopy(_buffer.Address + _start, _missing.Pointer, bytes, bytes);
        _start += (int)bytes;
        _missing = _missing.Skip(bytes);
        if (_start == _end)
            _start = _end = 0;
    }

    private bool TryNextFrame()
    {
        if (_frame == -1 && _reply!.Prelude.CheckLengths(_reply.FrameLengths, _limits) is { } wrong)
            throw wrong;
        while (++_frame < _reply!.FrameCount)
        {
            if (_reply.FrameLengths[_frame] == 0)
                continue;
            _missing = _reply.MakeFrame(_frame).Segment;
            return true;
        }
        return false;
    }

    private ClientReply Finish()
    {
        ClientReply reply = _reply!;
        _reply = null;
        return reply;
    }

    private void MoveToFront()
    {
        Buffer.MemoryCopy(_buffer.Address + _start, _buffer.Address, BufferBytes, _end - _start);
        _end -= _start;
        _start = 0;
    }
}

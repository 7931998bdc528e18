using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Transport;

/// <summary>
/// Reads messages from a non-blocking stream socket into pooled buffers, in any pieces; it can be left and resumed at any byte. Short messages
/// come with one call to the kernel; the bulk of long frames goes straight to its place.
/// </summary>
/// <remarks>One thread at a time.</remarks>
internal sealed unsafe class MessageReader(NativeBufferPool pool, TransportLimits limits) : IDisposable
{
    private const int ScratchBytes = 64 << 10;

    private readonly NativeBuffer _scratch = pool.Rent(ScratchBytes);
    private readonly MessageHead _head = new();

    /// <summary>Files that came with the scratch's last byte, and are not a message's yet.</summary>
    private readonly List<int> _fds = [];

    /// <summary>Bytes in the scratch that were not used yet.</summary>
    private int _scratchStart;
    private int _scratchEnd;

    /// <summary>Whether the head of the current message is complete, and how far its frames are.</summary>
    private bool _isInFrames;
    private int _frame;
    private long _frameFilled;

    /// <summary>Reads on.</summary>
    /// <param name="fd">The socket.</param>
    /// <param name="message">The same one until this returns true.</param>
    /// <param name="mayWait">Whether calls to the kernel may wait as the socket is set to; else it returns where it would have to.</param>
    /// <param name="result">When false: what <see cref="SocketIO.Receive(int, byte*, long)"/> said last, 0 or less.</param>
    /// <returns>Whether the message is complete.</returns>
    /// <exception cref="ProtocolException">The bytes are no message. Also its relatives; the connection can't be used any more.</exception>
    /// <exception cref="StorageFullException">No memory for a frame.</exception>
    /// <exception cref="TransferQueueException">Files that came along can't be opened.</exception>
    public bool TryRead(int fd, IncomingMessage message, bool mayWait, out long result)
    {
        result = 0;
        while (!TryFinish(message))
        {
            result = ReceiveMore(fd, message, mayWait);
            if (result <= 0)
                return false;
        }
        GiveFds(message);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _head.Clear();
        _scratch.Dispose();
        _fds.ForEach(UnixSocket.Close);
        _fds.Clear();
    }

    /// <summary>Uses what is in the scratch.</summary>
    private bool TryFinish(IncomingMessage message)
    {
        if (!_isInFrames && !TryTakeHead(message))
            return false;
        for (; _frame < message.Frames.Count; _frame++, _frameFilled = 0)
        {
            if (message.Frames[_frame] is not { } frame)
                continue; // a placed one
            long taken = Math.Min(frame.Length - _frameFilled, _scratchEnd - _scratchStart);
            Buffer.MemoryCopy(_scratch.Address + _scratchStart, frame.Address + _frameFilled, taken, taken);
            _scratchStart += (int)taken;
            _frameFilled += taken;
            if (_frameFilled < frame.Length)
                return false;
        }
        _isInFrames = false;
        _frame = 0;
        return true;
    }

    private bool TryTakeHead(IncomingMessage message)
    {
        var bytes = new ReadOnlySpan<byte>(_scratch.Address + _scratchStart, _scratchEnd - _scratchStart);
        if (bytes.IsEmpty)
            return false;
        bool isComplete = _head.Take(ref bytes, limits, out TransferQueueException? error, out ReadOnlySpan<byte> head);
        if (error is not null)
            throw error;
        _scratchStart = _scratchEnd - bytes.Length;
        if (!isComplete)
            return false;
        TakeHead(message, head);
        _head.Clear();
        _isInFrames = true;
        return true;
    }

    private void TakeHead(IncomingMessage message, ReadOnlySpan<byte> head)
    {
        const int MostOnStack = 64;
        Prelude prelude = _head.Prelude;
        int count = (int)prelude.FrameCount;
        Span<ulong> lengths = count <= MostOnStack ? stackalloc ulong[MostOnStack] : new ulong[count];
        Span<ulong> places = count <= MostOnStack ? stackalloc ulong[MostOnStack] : new ulong[count];
        MessageHead.CopyLengths(head, lengths[..count]);
        if (prelude.HasPlaces)
            MessageHead.CopyPlaces(head, places[..count]);
        else
            places.Fill(FramePlace.Inline);
        message.Prelude = prelude;
        message.Header = pool.Rent(prelude.HeaderBytes);
        head[^(int)prelude.HeaderBytes..].CopyTo(message.Header.Span);
        for (int i = 0; i < count; i++)
            if (places[i] == FramePlace.Inline)
                message.Add(pool.Rent((long)lengths[i]));
            else
                message.AddPlaced(places[i], lengths[i]);
    }

    /// <summary>Files are those of the message that has the last byte they came with, see <see cref="SocketIO.Receive(int, byte*, long, bool, List{int})"/>.</summary>
    private void GiveFds(IncomingMessage message)
    {
        if (_fds.Count == 0 || _scratchStart < _scratchEnd)
            return;
        if (message.Fds.Count + _fds.Count > FdPassing.MostFds)
            throw new ProtocolException($"message: more than {FdPassing.MostFds} files came with it");
        message.AddFds(_fds);
    }

    /// <summary>Receives to the scratch, or, while more of a frame is missing than that holds, to the frame.</summary>
    private long ReceiveMore(int fd, IncomingMessage message, bool mayWait)
    {
        GiveFds(message);
        _scratchStart = _scratchEnd = 0; // all of it was used, else there was no need for more
        if (_isInFrames && message.Frames[_frame] is { } frame && frame.Length - _frameFilled >= ScratchBytes)
        {
            long received = SocketIO.Receive(fd, frame.Address + _frameFilled, frame.Length - _frameFilled, mayWait, _fds);
            _frameFilled += Math.Max(0, received);
            return received;
        }
        long count = SocketIO.Receive(fd, _scratch.Address, ScratchBytes, mayWait, _fds);
        _scratchEnd = (int)Math.Max(0, count);
        return count;
    }
}

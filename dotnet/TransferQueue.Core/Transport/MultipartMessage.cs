using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NetMQ;
using TransferQueue.Memory;

namespace TransferQueue.Transport;

/// <summary>
/// A message of NetMQ: prelude, lengths and header in the first frame, each payload frame in one more. Its arrays come from
/// <see cref="RecycledBufferPool"/> and never move. One thread at a time; <see cref="Dispose"/> on any.
/// </summary>
internal sealed unsafe class MultipartMessage : IDisposable
{
    /// <summary>
    /// NetMQ makes this message up when a peer has disconnected, and sends it to its peers when a gateway's socket is closed. A gateway sends it to a
    /// peer that it gives up. A peer that sends it itself disconnects itself.
    /// </summary>
    public static readonly byte[] Farewell = [.. "TransferQueue: peer gone"u8];

    /// <summary>Bytes that one frame may have: an array of .NET.</summary>
    public static readonly long MostFrameBytes = Array.MaxLength;

    /// <summary>Bounds a wait that never happens: only a first frame is refused.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly List<Msg> _frames = [];

    public MultipartMessage() => _ = RecycledBufferPool.Installed;

    /// <summary>Frames, without an identity.</summary>
    public int FrameCount => _frames.Count;

    /// <summary>Bytes of all frames.</summary>
    public long Bytes { get; private set; }

    /// <summary>Whether this says that the other side is gone.</summary>
    public bool IsFarewell => FrameCount == 1 && this[0].SequenceEqual(Farewell);

    /// <summary>Called once by <see cref="Dispose"/>, or when the message was handed to a socket.</summary>
    internal Action<long>? Released { get; set; }

    /// <summary>The bytes of a frame.</summary>
    public Span<byte> this[int index] => CollectionsMarshal.AsSpan(_frames)[index].Slice();

    /// <summary>The bytes of a frame in place; valid until the message is disposed or sent.</summary>
    public NativeSegment Segment(int index)
    {
        Span<byte> bytes = this[index];
        return NativeSegment.At(Unsafe.AsPointer(ref MemoryMarshal.GetReference(bytes)), bytes.Length); // pinned: the pool's
    }

    /// <summary>Adds a frame with room for <paramref name="bytes"/> bytes, to be filled through <see cref="Segment"/>.</summary>
    /// <exception cref="LimitExceededException">No array is as long.</exception>
    public void AddFrame(long bytes)
    {
        if (bytes > MostFrameBytes)
            throw new LimitExceededException($"message: a frame of {bytes} bytes, between hosts at most {MostFrameBytes}; put or get fewer rows at once");
        Msg frame = default;
        frame.InitPool((int)bytes);
        _frames.Add(frame);
        Bytes += bytes;
    }

    /// <summary>Copies a sealed message: its head and header to the first frame, its payload to the others.</summary>
    /// <exception cref="LimitExceededException">A frame is too long.</exception>
    /// <exception cref="InvalidOperationException">It has flags or files, which stay on their host.</exception>
    public static MultipartMessage CopyOf(OutgoingMessage message)
    {
        if (message.Prelude.Flags != PreludeFlags.None || message.Fds.Count > 0)
            throw new InvalidOperationException($"a message with flags {message.Prelude.Flags} and {message.Fds.Count} files can't leave its host");
        var copy = new MultipartMessage();
        try
        {
            (NativeSegment head, NativeSegment header) = message.HeadParts;
            copy.AddFrame(head.Length + header.Length);
            CopyKernels.GatherSegments([head, header], copy.Segment(0).Pointer, streaming: false);
            foreach (ulong length in message.FrameLengths)
                copy.AddFrame((long)length);
            copy.CopyPayload(message.Segments);
            return copy;
        }
        catch (TransferQueueException)
        {
            copy.Dispose();
            throw;
        }
    }

    /// <summary>Checks the first frame, and the other frames' lengths against it.</summary>
    /// <param name="limits">What a message may have.</param>
    /// <param name="prelude">The prelude, as far as it could be read.</param>
    /// <param name="headerStart">Where the header begins in the first frame.</param>
    /// <returns>What is wrong, or null.</returns>
    public TransferQueueException? Check(TransportLimits limits, out Prelude prelude, out int headerStart)
    {
        prelude = default;
        headerStart = 0;
        if (FrameCount == 0 || this[0].Length < Prelude.Bytes)
            return new ProtocolException("message: its first frame is shorter than a prelude");
        Span<byte> head = this[0];
        prelude = Prelude.Read(head);
        if (prelude.Check(limits) is { } wrong)
            return wrong;
        if (prelude.Flags != PreludeFlags.None)
            return new ProtocolException($"message: flags 0x{(uint)prelude.Flags:X}; between hosts nothing lies in shared memory, send 0");
        headerStart = Prelude.Bytes + (int)prelude.FrameCount * sizeof(ulong);
        if (head.Length != Prelude.Bytes + prelude.HeadBytes || FrameCount != prelude.FrameCount + 1)
            return new ProtocolException($"message: {FrameCount} frames, the first of {head.Length} bytes; its prelude says otherwise");
        ulong[] lengths = new ulong[prelude.FrameCount];
        MessageHead.CopyLengths(head, lengths);
        for (int i = 0; i < lengths.Length; i++)
            if (lengths[i] != (ulong)this[i + 1].Length)
                return new ProtocolException($"message: frame {i} has {this[i + 1].Length} bytes, the head says {lengths[i]}");
        return prelude.CheckFrames(lengths, [], limits);
    }

    /// <summary>Gives the arrays back.</summary>
    public void Dispose()
    {
        foreach (ref Msg frame in CollectionsMarshal.AsSpan(_frames))
            if (frame.IsInitialised)
                frame.Close();
        Release();
    }

    /// <summary>Receives a message, or the rest of one whose first part was taken already.</summary>
    /// <param name="socket">Its socket, on its thread.</param>
    /// <param name="mostFrames">Frames to keep; further ones are thrown away.</param>
    /// <returns>Frames that came, also those that were thrown away; 0: nothing is there.</returns>
    internal int ReceiveFrames(IReceivingSocket socket, int mostFrames)
    {
        int count = 0;
        bool hasMore = true;
        while (hasMore)
        {
            Msg frame = default;
            frame.InitEmpty();
            if (!socket.TryReceive(ref frame, TimeSpan.Zero))
                return count; // before the first frame only: a message is there whole or not at all
            hasMore = frame.HasMore;
            if (++count <= mostFrames)
                Keep(frame);
            else
                frame.Close();
        }
        return count;
    }

    /// <summary>Hands the frames to a socket, on its thread; the message is empty then. A socket that took the first frame takes all.</summary>
    /// <returns>False if the socket has no room; nothing has changed then.</returns>
    internal bool TrySendTo(IOutgoingSocket socket)
    {
        Span<Msg> frames = CollectionsMarshal.AsSpan(_frames);
        if (!socket.TrySend(ref frames[0], TimeSpan.Zero, more: frames.Length > 1))
            return false;
        for (int i = 1; i < frames.Length; i++)
            socket.TrySend(ref frames[i], Patience, more: i < frames.Length - 1);
        Dispose();
        return true;
    }

    private void Keep(Msg frame)
    {
        if (frame.MsgType != MsgType.Pool)
        {
            AddFrame(frame.Size); // empty or from elsewhere: only the pool's arrays stay where they are
            frame.Slice().CopyTo(this[FrameCount - 1]);
            frame.Close();
            return;
        }
        _frames.Add(frame);
        Bytes += frame.Size;
    }

    private void CopyPayload(IReadOnlyList<NativeSegment> segments)
    {
        var copy = new BulkCopy();
        int frame = 0;
        long filled = 0;
        foreach (NativeSegment segment in segments)
        {
            while (filled == (frame == 0 ? 0 : this[frame].Length))
            {
                frame++;
                filled = 0;
                if (this[frame].Length > 0)
                    break;
            }
            copy.Add(segment, Segment(frame).Pointer + filled);
            filled += segment.Length;
        }
        copy.Run();
    }

    private void Release()
    {
        _frames.Clear();
        Action<long>? released = Released;
        Released = null;
        released?.Invoke(Bytes);
        Bytes = 0;
    }
}

using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>
/// A message on its way out: prelude, frame lengths, places, header, and the inline frames as stretches of native memory that are sent in place. It
/// remembers how far it came, so that sending can be left and resumed. Reusable after <see cref="Clear"/>.
/// </summary>
/// <remarks>One thread at a time. What the segments point to must stay as it is until the message was sent or dropped.</remarks>
internal sealed unsafe class OutgoingMessage
{
    private readonly HeaderBuffer _head = new();
    private readonly List<ulong> _frameLengths = [];
    private readonly List<ulong> _places = [];
    private readonly List<NativeSegment> _segments = [];
    private NativeSegment _foreignHeader;
    private int _placedCount;

    /// <summary>The part that is being sent (0 head, 1 header, then the segments) and how much of it was.</summary>
    private int _part;
    private long _partSent;

    /// <summary>The header, to be written with a MessagePackWriter before <see cref="Seal"/>.</summary>
    public HeaderBuffer Header { get; } = new();

    /// <summary>Called once, on the thread of the server's loop: true if the kernel has every byte, false if the message was dropped.</summary>
    public Action<OutgoingMessage, bool>? Completed { get; set; }

    /// <summary>Whatever its maker needs in <see cref="Completed"/>.</summary>
    public object? State { get; set; }

    /// <summary>Of a request: the answer may have frames in shared memory. Default false.</summary>
    public bool Shared { get; set; }

    /// <summary>
    /// Open files that go with the first byte, at most <see cref="FdPassing.MostFds"/>; the sender's own, to be kept open until <see cref="Completed"/>.
    /// Unix sockets only.
    /// </summary>
    public List<int> Fds { get; } = [];

    /// <summary>The prelude, complete after <see cref="Seal"/>.</summary>
    public Prelude Prelude { get; private set; }

    /// <summary>Bytes of the whole message; known after <see cref="Seal"/>.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Bytes that are still to be sent.</summary>
    public long RemainingBytes { get; private set; }

    /// <summary>Whether <see cref="Seal"/> was called.</summary>
    public bool IsSealed => TotalBytes > 0;

    /// <summary>Bytes of each frame.</summary>
    public IReadOnlyList<ulong> FrameLengths => _frameLengths;

    /// <summary>Where each frame lies: <see cref="FramePlace.Inline"/> or a place.</summary>
    public IReadOnlyList<ulong> Places => _places;

    /// <summary>The inline frames' bytes, in order, however they are cut into frames.</summary>
    public IReadOnlyList<NativeSegment> Segments => _segments;

    /// <summary>Sends a header that lies elsewhere instead of <see cref="Header"/>; at most 2 GiB.</summary>
    public void UseHeader(NativeSegment header) => _foreignHeader = header;

    /// <summary>Begins an inline frame, empty at first.</summary>
    public void BeginFrame()
    {
        _frameLengths.Add(0);
        _places.Add(FramePlace.Inline);
    }

    /// <summary>Adds bytes to the inline frame that was begun last.</summary>
    public void AddSegment(NativeSegment segment)
    {
        if (segment.Length == 0)
            return;
        if (_places[^1] != FramePlace.Inline)
            throw new InvalidOperationException("a placed frame has no segments");
        _frameLengths[^1] += (ulong)segment.Length;
        _segments.Add(segment);
    }

    /// <summary>Adds an inline frame that is one segment.</summary>
    public void AddFrame(NativeSegment frame)
    {
        BeginFrame();
        AddSegment(frame);
    }

    /// <summary>Adds a frame that lies in shared memory: no byte of it is sent.</summary>
    /// <param name="place">See <see cref="FramePlace"/>; not <see cref="FramePlace.Inline"/>.</param>
    /// <param name="length">Bytes.</param>
    public void AddPlacedFrame(ulong place, long length)
    {
        ArgumentOutOfRangeException.ThrowIfEqual(place, FramePlace.Inline);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        _frameLengths.Add((ulong)length);
        _places.Add(place);
        _placedCount++;
    }

    /// <summary>Ends the making: fills in the lengths. The message can be sent now.</summary>
    /// <param name="prelude">Type, request id, acknowledged (of a reply: its lease, or 0) and timeout; the lengths and flags are ignored.</param>
    public void Seal(in Prelude prelude)
    {
        if (Fds.Count > FdPassing.MostFds)
            throw new InvalidOperationException($"{Fds.Count} files on one message, at most {FdPassing.MostFds} can go with it");
        long payload = 0;
        foreach (NativeSegment segment in _segments)
            payload = checked(payload + segment.Length);
        NativeSegment header = HeaderSegment;
        Prelude = prelude with
        {
            HeaderBytes = checked((uint)header.Length),
            FrameCount = (uint)_frameLengths.Count,
            PayloadBytes = (ulong)payload,
            Flags = (_placedCount > 0 ? PreludeFlags.Placed : PreludeFlags.None) | (Shared ? PreludeFlags.Shared : PreludeFlags.None),
        };
        int headBytes = WriteHead();
        TotalBytes = RemainingBytes = headBytes + header.Length + payload;
        _part = 0;
        _partSent = 0;
    }

    /// <summary>Makes it as new, keeping its room.</summary>
    public void Clear()
    {
        _head.Clear();
        Header.Clear();
        _foreignHeader = default;
        _frameLengths.Clear();
        _places.Clear();
        _placedCount = 0;
        _segments.Clear();
        Shared = false;
        Fds.Clear();
        Completed = null;
        State = null;
        TotalBytes = RemainingBytes = 0;
    }

    /// <summary>Whether files are still to be sent: they go with the first byte.</summary>
    internal bool HasFdsToSend => Fds.Count > 0 && RemainingBytes == TotalBytes;

    /// <summary>Prelude, lengths and header, as one frame of NetMQ has them.</summary>
    internal (NativeSegment Head, NativeSegment Header) HeadParts => (_head.Segment, HeaderSegment);

    /// <summary>Lists what is still to be sent.</summary>
    /// <param name="parts">Room for the list.</param>
    /// <param name="mostBytes">Bytes to list at most.</param>
    /// <param name="bytes">Bytes listed.</param>
    /// <returns>Entries used.</returns>
    internal int List(Span<iovec> parts, long mostBytes, out long bytes)
    {
        int count = 0;
        bytes = 0;
        long skip = _partSent;
        for (int part = _part; part < PartCount && count < parts.Length && bytes < mostBytes; part++, skip = 0)
        {
            NativeSegment rest = Part(part).Skip(skip);
            if (rest.Length == 0)
                continue;
            long length = Math.Min(rest.Length, mostBytes - bytes);
            Unsafe.SkipInit(out iovec entry);
            entry.iov_base = rest.Pointer;
            entry.iov_len = (nuint)length;
            parts[count++] = entry;
            bytes += length;
        }
        return count;
    }

    /// <summary>Notes that bytes were sent.</summary>
    /// <returns>Those of <paramref name="bytes"/> that this message had no use for.</returns>
    internal long Advance(long bytes)
    {
        while (RemainingBytes > 0 && bytes > 0)
        {
            long taken = Math.Min(bytes, Part(_part).Length - _partSent);
            bytes -= taken;
            RemainingBytes -= taken;
            _partSent += taken;
            if (_partSent < Part(_part).Length)
                continue;
            _part++;
            _partSent = 0;
        }
        return bytes;
    }

    private int WriteHead()
    {
        int count = _frameLengths.Count;
        int headBytes = Prelude.Bytes + Prelude.FrameListBytes;
        _head.Clear();
        Span<byte> head = _head.GetSpan(headBytes)[..headBytes];
        Prelude.CopyTo(head);
        for (int i = 0; i < count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(head[(Prelude.Bytes + i * sizeof(ulong))..], _frameLengths[i]);
        for (int i = 0; Prelude.HasPlaces && i < count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(head[(Prelude.Bytes + (count + i) * sizeof(ulong))..], _places[i]);
        _head.Advance(headBytes);
        return headBytes;
    }

    private NativeSegment HeaderSegment => _foreignHeader.Length > 0 ? _foreignHeader : Header.Segment;

    private int PartCount => _segments.Count + 2;

    private NativeSegment Part(int part) => part switch
    {
        0 => _head.Segment,
        1 => HeaderSegment,
        _ => _segments[part - 2],
    };
}

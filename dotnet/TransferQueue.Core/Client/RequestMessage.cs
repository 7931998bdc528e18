using System.Buffers.Binary;
using TransferQueue.Memory;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>
/// A request as bytes on their way: parts one after the other, and how far they are. Prelude, lengths, and whatever is small are
/// copied side by side into one buffer of ours; large stretches are sent from where the caller has them.
/// </summary>
/// <remarks>One thread at a time. Dispose gives the buffer back.</remarks>
internal sealed unsafe class RequestMessage : IDisposable
{
    /// <summary>Up to here a copy is cheaper than a system call of its own.</summary>
    private const long SmallBytes = 16 << 10;

    private readonly NativeBuffer _staged;
    private readonly List<NativeSegment> _parts = [];
    private long _stagedBytes;
    private int _part;
    private long _offset;

    private RequestMessage(ClientRequest request, NativeBuffer staged) => (Request, _staged) = (request, staged);

    /// <summary>What is asked.</summary>
    public ClientRequest Request { get; }

    /// <summary>The request's id.</summary>
    public ulong RequestId { get; private set; }

    /// <summary>Whether a part of it was sent: a connection that has a half of it can't send anything else.</summary>
    public bool HasStarted => _part > 0 || _offset > 0;

    /// <summary>Whether all of it was sent.</summary>
    public bool IsSent => _part == _parts.Count;

    /// <summary>What is to be sent next; empty when all is.</summary>
    public NativeSegment Next => IsSent ? default : _parts[_part].Skip(_offset);

    /// <summary>Lays out a request.</summary>
    /// <param name="request">What is asked.</param>
    /// <param name="copyAll">Whether the caller's memory is left alone from now on.</param>
    public static RequestMessage Create(ClientRequest request, bool copyAll)
    {
        long staged = HeadBytes(request) + (IsCopied(request.Header, copyAll) ? request.Header.Length : 0);
        foreach (FrameSegment segment in request.Segments)
            staged += IsCopied(segment.Bytes, copyAll) ? segment.Bytes.Length : 0;
        var message = new RequestMessage(request, ClientMemory.Pool.Rent(staged));
        message.Stage(new NativeSegment(0, HeadBytes(request)), copy: false);
        message.Append(request.Header, copyAll);
        foreach (FrameSegment segment in request.Segments)
            message.Append(segment.Bytes, copyAll);
        return message;
    }

    /// <summary>Goes back to the start and writes what differs each time.</summary>
    /// <param name="requestId">The same for every repeat.</param>
    /// <param name="acknowledged">The client's smallest outstanding id.</param>
    /// <param name="timeout">What is left of the caller's time; zero: the server's default.</param>
    public void Rewind(ulong requestId, ulong acknowledged, TimeSpan timeout)
    {
        (RequestId, _part, _offset) = (requestId, 0, 0);
        var prelude = Prelude.Create(Request.Type, requestId) with
        {
            Acknowledged = acknowledged,
            TimeoutMilliseconds = timeout == TimeSpan.Zero ? 0 : (uint)Math.Clamp(timeout.TotalMilliseconds, 1, uint.MaxValue),
            HeaderBytes = (uint)Request.Header.Length,
            FrameCount = (uint)Request.FrameLengths.Length,
            PayloadBytes = (ulong)Request.PayloadBytes,
        };
        prelude.CopyTo(new Span<byte>(_staged.Address, Prelude.Bytes));
        var lengths = new Span<byte>(_staged.Address + Prelude.Bytes, Request.FrameLengths.Length * sizeof(long));
        for (int i = 0; i < Request.FrameLengths.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(lengths[(i * sizeof(long))..], Request.FrameLengths[i]);
    }

    /// <summary>Counts <paramref name="bytes"/> of <see cref="Next"/> as sent.</summary>
    public void Advance(long bytes)
    {
        _offset += bytes;
        if (_offset < _parts[_part].Length)
            return;
        _part++;
        _offset = 0;
    }

    /// <inheritdoc/>
    public void Dispose() => _staged.Dispose();

    private static long HeadBytes(ClientRequest request) => Prelude.Bytes + request.FrameLengths.Length * sizeof(long);

    private static bool IsCopied(NativeSegment bytes, bool copyAll) => copyAll || bytes.Length <= SmallBytes;

    private void Append(NativeSegment bytes, bool copyAll)
    {
        if (bytes.Length == 0)
            return;
        if (IsCopied(bytes, copyAll))
            Stage(bytes, copy: true);
        else
            _parts.Add(bytes);
    }

    private void Stage(NativeSegment bytes, bool copy)
    {
        byte* at = _staged.Address + _stagedBytes;
        if (copy)
            Buffer.MemoryCopy(bytes.Pointer, at, bytes.Length, bytes.Length);
        _stagedBytes += bytes.Length;
        if (_parts.Count > 0 && _parts[^1] is var last && last.Address + (nint)last.Length == (nint)at && last.Address >= (nint)_staged.Address)
            _parts[^1] = last with { Length = last.Length + bytes.Length };
        else
            _parts.Add(NativeSegment.At(at, bytes.Length));
    }
}

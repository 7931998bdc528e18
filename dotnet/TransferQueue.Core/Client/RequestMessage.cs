using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>A request as a message on its way, which can go out again on another connection. Reusable: one request after the other.</summary>
/// <remarks>One thread at a time.</remarks>
internal sealed unsafe class RequestMessage
{
    private NativeBuffer? _copy;
    private ClientRequest? _request;

    /// <summary>The bytes, and how far they are.</summary>
    public OutgoingMessage Outgoing { get; } = new();

    /// <summary>What is asked.</summary>
    public ClientRequest Request => _request ?? throw new InvalidOperationException("no request is on its way");

    /// <summary>Whether a part of it was sent: a connection that has a half of it can't send anything else.</summary>
    public bool HasStarted => Outgoing.RemainingBytes < Outgoing.TotalBytes;

    /// <summary>Whether all of it was sent.</summary>
    public bool IsSent => Outgoing is { IsSealed: true, RemainingBytes: 0 };

    /// <summary>Takes a request whose bytes stay where the caller has them.</summary>
    public void Use(ClientRequest request)
    {
        _request = request;
        Outgoing.Clear();
        Outgoing.UseHeader(request.Header);
        int frame = -1;
        foreach (FrameSegment segment in request.Segments)
        {
            bool isPlaced = !request.Places.IsEmpty && request.Places[segment.Frame] != FramePlace.Inline;
            if (segment.Frame > frame && isPlaced)
                Outgoing.AddPlacedFrame(request.Places[segment.Frame], request.FrameLengths[segment.Frame]);
            else if (segment.Frame > frame)
                Outgoing.BeginFrame();
            frame = segment.Frame;
            if (!isPlaced)
                Outgoing.AddSegment(segment.Bytes);
        }
    }

    /// <summary>Takes a request and copies its bytes: the caller's memory is left alone from then on.</summary>
    public void Copy(ClientRequest request)
    {
        _request = request;
        _copy = ClientMemory.Pool.Rent(request.Header.Length + request.PayloadBytes);
        NativeSegment room = _copy.Segment;
        Outgoing.Clear();
        Outgoing.UseHeader(Append(request.Header, ref room));
        int segment = 0;
        for (int frame = 0; frame < request.FrameLengths.Length; frame++)
        {
            Outgoing.AddFrame(room.Take(request.FrameLengths[frame]));
            for (; segment < request.Segments.Length && request.Segments[segment].Frame == frame; segment++)
                Append(request.Segments[segment].Bytes, ref room);
        }
    }

    /// <summary>Goes to the start and writes what differs each time.</summary>
    /// <param name="requestId">The same for every repeat.</param>
    /// <param name="acknowledged">The client's smallest outstanding id.</param>
    /// <param name="timeout">What is left of the caller's time; zero: the server's default.</param>
    /// <param name="shared">Whether the answer may have frames in shared memory.</param>
    public void Rewind(ulong requestId, ulong acknowledged, TimeSpan timeout, bool shared = false)
    {
        Outgoing.Shared = shared;
        Outgoing.Seal(Prelude.Create(Request.Type, requestId) with
        {
            Acknowledged = acknowledged,
            TimeoutMilliseconds = timeout == TimeSpan.Zero ? 0 : (uint)Math.Clamp(timeout.TotalMilliseconds, 1, uint.MaxValue),
        });
    }

    /// <summary>Lets go of the request and of its copy.</summary>
    public void Clear()
    {
        Outgoing.Clear();
        _copy?.Dispose();
        _copy = null;
        _request = null;
    }

    private static NativeSegment Append(NativeSegment bytes, ref NativeSegment room)
    {
        Buffer.MemoryCopy(bytes.Pointer, room.Pointer, room.Length, bytes.Length);
        NativeSegment copy = room.Take(bytes.Length);
        room = room.Skip(bytes.Length);
        return copy;
    }
}

using TransferQueue.Memory;

namespace TransferQueue.Client;

/// <summary>One stretch of a frame's bytes in the caller's memory.</summary>
/// <param name="Bytes">Where they are.</param>
/// <param name="Frame">The frame, from 0.</param>
internal readonly record struct FrameSegment(NativeSegment Bytes, int Frame);

/// <summary>
/// What a caller asks: type, header, payload, time. The bytes stay the caller's, who keeps them until the call has ended. Immutable.
/// </summary>
internal sealed class ClientRequest
{
    private readonly long[] _frameLengths;
    private readonly ulong[] _places = [];

    /// <summary>Makes a request; the segments come frame by frame, each frame has at least one.</summary>
    /// <exception cref="InvalidArgumentException">The segments are not in order.</exception>
    public ClientRequest(ushort type, NativeSegment header, FrameSegment[] segments, TimeSpan timeout)
    {
        (Type, Header, Segments, Timeout) = (type, header, segments, timeout);
        _frameLengths = new long[segments.Length == 0 ? 0 : segments[^1].Frame + 1];
        int last = -1;
        foreach (FrameSegment segment in segments)
        {
            if (segment.Frame != last && segment.Frame != last + 1)
                throw new InvalidArgumentException($"request: a segment of frame {segment.Frame} follows one of frame {last}; frames come in order without gaps");
            last = segment.Frame;
            _frameLengths[last] += segment.Bytes.Length;
            PayloadBytes += segment.Bytes.Length;
        }
        foreach (long length in _frameLengths)
            LargestFrameBytes = Math.Max(LargestFrameBytes, length);
    }

    private ClientRequest(ClientRequest same, ulong[] places, TimeSpan timeout)
    {
        (Type, Header, Segments, Timeout) = (same.Type, same.Header, same.Segments, timeout);
        (_frameLengths, _places) = (same._frameLengths, places);
        (PayloadBytes, LargestFrameBytes) = (same.PayloadBytes, same.LargestFrameBytes);
    }

    /// <summary>Message type (docs/wire.md, section 3).</summary>
    public ushort Type { get; }

    /// <summary>A MessagePack map.</summary>
    public NativeSegment Header { get; }

    /// <summary>The payload.</summary>
    public FrameSegment[] Segments { get; }

    /// <summary>How long the caller waits; zero: the server's default.</summary>
    public TimeSpan Timeout { get; }

    /// <summary>Bytes of each frame.</summary>
    public ReadOnlySpan<long> FrameLengths => _frameLengths;

    /// <summary>Where each frame lies in shared memory (<see cref="Columns.FramePlace"/>); empty: all are in the message.</summary>
    public ReadOnlySpan<ulong> Places => _places;

    /// <summary>Bytes of all frames.</summary>
    public long PayloadBytes { get; }

    /// <summary>Bytes of the largest frame.</summary>
    public long LargestFrameBytes { get; }

    /// <summary>The same request whose frames lie somewhere else.</summary>
    /// <param name="places">One per frame; the request's from now on.</param>
    /// <param name="timeout">What is left of the caller's time.</param>
    public ClientRequest At(ulong[] places, TimeSpan timeout) => new(this, places, timeout);
}

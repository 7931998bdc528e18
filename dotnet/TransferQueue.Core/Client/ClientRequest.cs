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

    /// <summary>Bytes of all frames.</summary>
    public long PayloadBytes { get; }
}

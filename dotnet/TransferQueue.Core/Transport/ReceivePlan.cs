using TransferQueue.Memory;

namespace TransferQueue.Transport;

/// <summary>What is to be done with a message's payload.</summary>
internal enum ReceivePlanKind
{
    /// <summary>The message has none. If it has some nevertheless, it is skipped.</summary>
    None,

    /// <summary>It goes to native memory.</summary>
    Into,

    /// <summary>It is read and thrown away.</summary>
    Skip,

    /// <summary>The connection ends, after what was sent on it.</summary>
    Close,

    /// <summary>It stays where it is, and nothing more is read, until <see cref="ServerLoop.Continue"/> brings another plan.</summary>
    Wait,
}

/// <summary>
/// A server's answer to a header: where the payload goes. <see cref="None"/>, <see cref="Skip"/>, <see cref="Close"/> and <see cref="Wait"/> are
/// shared values; plans of kind <see cref="ReceivePlanKind.Into"/> are made by the handler and may be used again once the payload was received or lost.
/// </summary>
/// <remarks>From the answer until then the plan belongs to the transport, and bytes arrive in its segments from another thread.</remarks>
internal sealed class ReceivePlan
{
    private readonly List<NativeSegment> _segments = [];
    private int _segment;
    private long _segmentFilled;

    /// <summary>Makes an empty plan of kind Into.</summary>
    public ReceivePlan()
        : this(ReceivePlanKind.Into)
    {
    }

    private ReceivePlan(ReceivePlanKind kind) => Kind = kind;

    /// <summary>No payload.</summary>
    public static ReceivePlan None { get; } = new(ReceivePlanKind.None);

    /// <summary>Throw the payload away.</summary>
    public static ReceivePlan Skip { get; } = new(ReceivePlanKind.Skip);

    /// <summary>End the connection.</summary>
    public static ReceivePlan Close { get; } = new(ReceivePlanKind.Close);

    /// <summary>Let the payload wait, and everything behind it.</summary>
    public static ReceivePlan Wait { get; } = new(ReceivePlanKind.Wait);

    /// <summary>What is to be done.</summary>
    public ReceivePlanKind Kind { get; }

    /// <summary>Whatever the handler needs when the payload is there, or lost.</summary>
    public object? State { get; set; }

    /// <summary>Where the bytes go, in order, however they are cut into frames.</summary>
    public IReadOnlyList<NativeSegment> Segments => _segments;

    /// <summary>Sum of the segments' lengths; must equal the payload's.</summary>
    public long Bytes { get; private set; }

    /// <summary>Makes a plan with one segment.</summary>
    public static ReceivePlan Into(NativeSegment segment, object? state)
    {
        var plan = new ReceivePlan { State = state };
        plan.Add(segment);
        return plan;
    }

    /// <summary>Adds room for the next bytes.</summary>
    public void Add(NativeSegment segment)
    {
        if (segment.Length == 0)
            return;
        _segments.Add(segment);
        Bytes += segment.Length;
    }

    /// <summary>Makes it as new, keeping its room.</summary>
    public void Clear()
    {
        _segments.Clear();
        _segment = 0;
        _segmentFilled = 0;
        Bytes = 0;
        State = null;
    }

    /// <summary>The room for the next bytes; empty when all are there.</summary>
    internal NativeSegment Current => _segment < _segments.Count ? _segments[_segment].Skip(_segmentFilled) : default;

    /// <summary>Room <paramref name="ahead"/> segments behind the current one.</summary>
    internal NativeSegment Following(int ahead) => ahead == 0 ? Current : _segment + ahead < _segments.Count ? _segments[_segment + ahead] : default;

    /// <summary>Notes that bytes arrived.</summary>
    internal void Advance(long bytes)
    {
        while (bytes > 0)
        {
            long taken = Math.Min(bytes, _segments[_segment].Length - _segmentFilled);
            bytes -= taken;
            _segmentFilled += taken;
            if (_segmentFilled < _segments[_segment].Length)
                return;
            _segment++;
            _segmentFilled = 0;
        }
    }
}

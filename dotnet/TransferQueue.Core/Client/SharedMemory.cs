using System.Collections.Concurrent;
using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>
/// A core's shared memory in one session: the segments' maps, the leases that the session has, which pages are looked at, and what is on
/// loan. It lives as long as the session or anybody who holds an address of it; then it is unmapped.
/// </summary>
/// <remarks>Thread-safe. A core that starts again has other memory: another object of this type.</remarks>
internal sealed unsafe class SharedMemory
{
    /// <summary>How long the core may take to tell its segments.</summary>
    private static readonly TimeSpan AskTimeout = TimeSpan.FromSeconds(10);

    private static readonly ConcurrentDictionary<SharedMemory, bool> All = new();

    private readonly ClientSession _session;
    private readonly Lock _mapping = new();
    private readonly ConcurrentDictionary<ulong, ViewLease> _leases = new();

    /// <summary>Replaced, never changed, under <see cref="_mapping"/>.</summary>
    private volatile MappedSegment[] _segments = [];

    /// <summary>The session, and everybody who has an address.</summary>
    private int _holds = 1;
    private int _isRetired;

    /// <summary>Maps nothing before the first place is looked at.</summary>
    public SharedMemory(ClientSession session, long epoch)
    {
        (_session, Epoch) = (session, epoch);
        Loans = new LoanTable(this);
        Sender = new ReleaseSender(session, this);
        All[this] = true;
    }

    /// <summary>All that are mapped in this process.</summary>
    public static IEnumerable<SharedMemory> Mapped => All.Keys;

    /// <summary>Whose memory it is: a session to this core.</summary>
    public ClientSession Session => _session;

    /// <summary>Which life of the core.</summary>
    public long Epoch { get; }

    /// <summary>Pages that are looked at.</summary>
    public LiveViews Views { get; } = new();

    /// <summary>What callers compute into.</summary>
    public LoanTable Loans { get; }

    /// <summary>Gives back to the core.</summary>
    public ReleaseSender Sender { get; }

    /// <summary>The leases that somebody looks at, at this moment.</summary>
    public ImmutableArray<ulong> Leases => [.. _leases.Keys];

    /// <summary>Whether the core has these no more: a new life of it, or it is gone for good.</summary>
    public bool IsRetired => Volatile.Read(ref _isRetired) != 0;

    /// <summary>One more who has an address of it.</summary>
    public void Hold() => Interlocked.Increment(ref _holds);

    /// <summary>One less; the last one unmaps it.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _holds) != 0)
            return;
        All.TryRemove(this, out _);
        foreach (MappedSegment segment in _segments)
            segment.Dispose();
    }

    /// <summary>The session needs it no more; views live on.</summary>
    /// <param name="isGone">Whether the core has forgotten the leases too.</param>
    public void Retire(bool isGone)
    {
        if (isGone)
            Volatile.Write(ref _isRetired, 1);
        Release();
    }

    /// <summary>A frame's bytes as the answer's reader gets them: a view, or, where another view has a page of it or during a fork, a copy.</summary>
    /// <exception cref="ProtocolException">There is no such place.</exception>
    public ReplyFrame View(ViewLease lease, ulong place, long length)
    {
        MappedSegment segment = Find(place, length);
        if (!ForkPins.IsForking && Views.TryAdd(place, length))
        {
            _session.Counters.CountView(length);
            var frame = new LeasedFrame(this, lease, segment, place, length);
            return new ReplyFrame(frame.Bytes, frame);
        }
        NativeBuffer buffer = ClientMemory.Pool.Rent(length);
        var copy = new BulkCopy();
        copy.Add(NativeSegment.At(segment.Shared + FramePlace.Offset(place), length), buffer.Address);
        copy.Run();
        _session.Counters.CountAlias();
        return new ReplyFrame(buffer.Segment, buffer);
    }

    /// <summary>Where a place is in the map that all processes see.</summary>
    /// <exception cref="ProtocolException">There is no such place.</exception>
    public NativeSegment Locate(ulong place, long length) => NativeSegment.At(Find(place, length).Shared + FramePlace.Offset(place), length);

    /// <summary>The segment of a place; asks the core for its file if it is a new one.</summary>
    /// <exception cref="ProtocolException">There is no such place.</exception>
    public MappedSegment Find(ulong place, long length)
    {
        int number = FramePlace.Segment(place);
        if (number >= _segments.Length)
            MapNew();
        MappedSegment[] segments = _segments;
        if (place == FramePlace.Inline || number >= segments.Length || FramePlace.Offset(place) > segments[number].Length - length)
            throw new ProtocolException($"core at {_session.Options.Address}: {length} bytes at segment {number}, offset {FramePlace.Offset(place)}, where there is no shared memory");
        return segments[number];
    }

    /// <summary>A lease begins.</summary>
    internal void Begin(ViewLease lease)
    {
        if (_leases.TryAdd(lease.Id, lease))
            _session.Counters.CountLease(1);
    }

    /// <summary>Nobody looks any more.</summary>
    internal void End(ViewLease lease)
    {
        if (!_leases.TryRemove(lease.Id, out _))
            return;
        _session.Counters.CountLease(-1);
        Sender.AddLease(lease.Id);
    }

    private void MapNew()
    {
        lock (_mapping)
        {
            using BlockingCall call = BlockingCall.Of(_session, new MemoryRequest(_segments.Length), AskTimeout);
            using ClientReply reply = call.Finish();
            if (reply.IsError)
                throw ErrorReply.Read(reply.CopyHeader()).ToException();
            Map(MemoryReply.Read(reply.CopyHeader()).Segments, reply.TakeFds());
        }
    }

    private void Map(ImmutableArray<SharedSegment> told, int[] fds)
    {
        try
        {
            if (told.Length != fds.Length)
                throw new ProtocolException($"core at {_session.Options.Address}: {told.Length} segments of shared memory with {fds.Length} files");
            for (int i = 0; i < told.Length; i++)
                if (told[i].Number == _segments.Length)
                    _segments = [.. _segments, MappedSegment.Map(told[i].Number, fds[i], told[i].Length)];
        }
        finally
        {
            Array.ForEach(fds, UnixSocket.Close);
        }
    }
}

using TransferQueue.Client;
using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Protocol;
using Xunit;

namespace TransferQueue.Tests.Client;

/// <summary>Puts and gets through shared memory against a core that lends and leases, on real maps.</summary>
public sealed unsafe class SharedMemoryTests : IDisposable
{
    private const int Large = 300_000;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly MemoryServer _server = new();
    private readonly NativeBufferPool _pool = new();
    private readonly List<NativeBuffer> _memory = [];
    private readonly ClientSession _session;

    public SharedMemoryTests() => _session = _server.Open();

    public void Dispose()
    {
        _session.Dispose();
        _server.Dispose();
        _memory.ForEach(buffer => buffer.Dispose());
        _pool.Dispose();
    }

    [Fact]
    public void ALargePutIsTwoRequestsAndOneCopyOfEachLargeFrame()
    {
        Put(Frame(Large, 1, 0), Frame(Large, 2, 0), Frame(100, 3, 1), Frame(Large, 4, 2));
        Assert.Equal((1, 1), (_server.Count(MessageType.Reserve), _server.Count(MessageType.Put)));
        Assert.Equal(100, _server.InlineBytes);
        Assert.Equal([2L * Large, Large], _server.Stored.Select(frame => frame.Length).ToArray());
        Assert.Equal((2L, 3L * Large), (_session.Counters.FramesPlaced, _session.Counters.BytesCopied));
        Assert.Equal(-1, Stored(0)[..Large].IndexOfAnyExcept((byte)1));
        Assert.Equal(-1, Stored(0)[Large..].IndexOfAnyExcept((byte)2));
        Assert.Equal(-1, Stored(1).IndexOfAnyExcept((byte)4));
        Put(Frame(Large, 5, 0));
        Assert.Equal(1, _server.Count(MessageType.Memory));
    }

    [Fact]
    public void ASmallPutAsksForNothing()
    {
        Put(Frame((int)FramePlace.SmallestBytes - 1, 1, 0));
        Assert.Equal([MessageType.Put], _server.Requests.Select(request => request.Type));
    }

    [Fact]
    public void WithoutSharedMemoryAllGoesInTheMessage()
    {
        using ClientSession plain = _server.Open(shared: false);
        Run(plain.Begin(Request(MessageType.Put, Frame(Large, 1, 0)))).Dispose();
        Assert.Equal([MessageType.Put], _server.Requests.Select(request => request.Type));
        Assert.Equal(Large, _server.InlineBytes);
    }

    [Fact]
    public void AGetsFrameIsAViewWithoutACopy()
    {
        Put(Frame(Large, 1, 0));
        using ClientReply reply = Get();
        Assert.Equal(1, MemoryServer.Bytes(reply)[Large - 1]);
        *_server.At(_server.Stored[0].Place) = 9; // the same memory
        Assert.Equal(9, MemoryServer.Bytes(reply)[0]);
        Assert.Equal((1L, 0L), (_session.Counters.FramesViewed, _session.Counters.FramesAliased));
    }

    [Fact]
    public void WhatAHolderWroteIsGoneForTheNextReader()
    {
        Put(Frame(Large, 1, 0));
        using (ClientReply first = Get())
        {
            MemoryServer.Bytes(first)[5000] = 77;
            Assert.Equal((77, 1), (MemoryServer.Bytes(first)[5000], Stored(0)[5000]));
        }
        Stored(0).Fill(2);
        using ClientReply second = Get();
        Assert.Equal(-1, MemoryServer.Bytes(second).IndexOfAnyExcept((byte)2));
        Assert.Equal(0, _session.Counters.FramesAliased);
    }

    [Fact]
    public void TwoLiveViewsOfTheSamePagesDontShowEachOthersWrites()
    {
        Put(Frame(Large, 1, 0));
        using ClientReply first = Get();
        MemoryServer.Bytes(first)[10] = 77;
        using ClientReply second = Get();
        Assert.Equal(1, MemoryServer.Bytes(second)[10]);
        MemoryServer.Bytes(second)[11] = 88;
        Assert.Equal(1, MemoryServer.Bytes(first)[11]);
        Assert.Equal(1, _session.Counters.FramesAliased);
    }

    [Fact]
    public void TheEndOfOneViewLeavesItsNeighboursWritesAlone()
    {
        const int Rows = 80 << 10;
        Put(Frame(4 * Rows, 1, 0));
        ulong place = _server.Stored[0].Place;
        _server.Stored.Clear();
        _server.Stored.AddRange([(place, Rows), (place + Rows, Rows), (place + 2 * Rows + 100, Rows), (place + 3 * Rows + 100, 1000)]);
        using ClientReply reply = Get();
        Assert.Equal(1, _session.Counters.FramesAliased); // the last begins on a page of the one before
        for (int i = 0; i < 4; i++)
            MemoryServer.Bytes(reply, i).Fill((byte)(10 + i));
        reply.Frames[1].Owner.Dispose();
        foreach (int i in (int[])[0, 2, 3])
            Assert.Equal(-1, MemoryServer.Bytes(reply, i).IndexOfAnyExcept((byte)(10 + i)));
    }

    [Fact]
    public void PagesAreDroppedBeforeTheLeaseGoesBack()
    {
        const int Bytes = 96 << 20; // dropping takes longer than the RELEASE would take to come
        using var server = new MemoryServer(Bytes);
        using ClientSession session = server.Open();
        Run(session.Begin(Request(MessageType.Put, Frame(Bytes, 1, 0)))).Dispose();
        ClientReply reply = Run(session.Begin(Request(MessageType.Get)));
        byte* view = reply.Frames[0].Bytes.Pointer;
        new Span<byte>(view, Bytes).Fill(77);
        int seen = -1;
        server.OnRelease = () => seen = view[Bytes - 1];
        reply.Dispose();
        Wait(() => !server.Releases.IsEmpty && Volatile.Read(ref seen) >= 0);
        Assert.Equal(1, seen);
        Assert.Equal([1UL], server.Releases.First().Leases);
    }

    [Fact]
    public void ALeaseOfSeveralFramesEndsWithTheLast()
    {
        Put(Frame(Large, 1, 0), Frame(Large, 2, 1));
        ClientReply reply = Get();
        (IDisposable first, IDisposable second) = (reply.Frames[0].Owner, reply.Frames[1].Owner);
        reply.Detach().Dispose();
        first.Dispose();
        first.Dispose();
        Assert.Equal(1, _session.Counters.LeasesOut);
        second.Dispose();
        Assert.Equal(0, _session.Counters.LeasesOut);
        Wait(() => _server.Releases.Any(release => !release.Leases.IsDefault));
    }

    [Theory]
    [InlineData(MessageType.Reserve)]
    [InlineData(MessageType.Put)]
    public void ARequestWhoseConnectionEndsIsRepeatedUnderItsId(object type)
    {
        _server.CutNext = (MessageType)type;
        Put(Frame(Large, 6, 0));
        ulong[] ids = [.. _server.Requests.Where(request => request.Type == (MessageType)type).Select(request => request.Id)];
        Assert.Equal(2, ids.Length);
        Assert.Equal(ids[0], ids[1]);
        Assert.Equal((0L, -1), (FramePlace.Offset(_server.Stored[0].Place), Stored(0).IndexOfAnyExcept((byte)6)));
    }

    [Fact]
    public void APutThatEndsWithoutAnAnswerGivesItsLoanBack()
    {
        _server.Silent = MessageType.Put;
        using (SteppedCall call = _session.Begin(Request(MessageType.Put, Frame(Large, 1, 0))))
        {
            Assert.Null(call.Step(TimeSpan.FromMilliseconds(50)));
            Wait(() => call.Step(TimeSpan.Zero) is null && _server.Count(MessageType.Put) == 1);
        }
        Wait(() => _server.Releases.Any(release => !release.Loans.IsDefault && release.Loans.Contains(1)));
    }

    [Theory]
    [InlineData(MessageType.Reserve)]
    [InlineData(MessageType.Get)]
    public void TheCoreIsToldOfAnAnswerThatNobodyWillRead(object type)
    {
        _server.Silent = (MessageType)type;
        ClientRequest request = (MessageType)type == MessageType.Get ? Request(MessageType.Get) : Request(MessageType.Put, Frame(Large, 1, 0));
        using (SteppedCall call = _session.Begin(request))
            Wait(() => call.Step(TimeSpan.FromMilliseconds(5)) is null && _server.Count((MessageType)type) == 1);
        ulong id = _server.Requests.First(sent => sent.Type == (MessageType)type).Id;
        Wait(() => _server.Releases.Any(release => !release.Replies.IsDefault && release.Replies.Contains(id)));
    }

    [Fact]
    public void WhatWasComputedInPlaceIsPutWithoutACopy()
    {
        using ClientReply room = Run(_session.Reserve([Large, Large], TimeSpan.Zero));
        foreach (ReplyFrame frame in room.Frames)
            new Span<byte>(frame.Bytes.Pointer, Large).Fill(8);
        Put(new FrameSegment(room.Frames[0].Bytes, 0), new FrameSegment(room.Frames[1].Bytes, 1));
        Assert.Equal(1, _server.Count(MessageType.Reserve));
        Assert.Equal((0L, 2L), (_session.Counters.BytesCopied, _session.Counters.FramesMoved));
        Assert.Equal(-1, Stored(1).IndexOfAnyExcept((byte)8));
        Put(new FrameSegment(room.Frames[0].Bytes, 0)); // used up: as any other memory from now on
        Assert.Equal((2, (long)Large), (_server.Count(MessageType.Reserve), _session.Counters.BytesCopied));
    }

    [Fact]
    public void RoomThatWasNotUsedGoesBackWithItsLastHolder()
    {
        ClientReply room = Run(_session.Reserve([Large, Large], TimeSpan.Zero));
        Put(new FrameSegment(room.Frames[0].Bytes, 0));
        Assert.Empty(_server.Releases);
        room.Dispose();
        Wait(() => _server.Releases.Any(release => !release.Loans.IsDefault && release.Loans.Contains(1)));
    }

    [Fact]
    public void ViewsOutliveTheirSessionAndTheirLeaseStillGoesBack()
    {
        Put(Frame(Large, 3, 0));
        ClientReply reply = Get();
        _session.Dispose();
        Assert.Throws<ConnectionLostException>(() => _session.Begin(Request(MessageType.Ping)));
        Thread.Sleep(20); // time for what must not happen
        Assert.Equal(-1, MemoryServer.Bytes(reply).IndexOfAnyExcept((byte)3));
        Assert.Empty(_server.Releases);
        reply.Dispose();
        Wait(() => _server.Releases.Any(release => !release.Leases.IsDefault));
        Wait(() => Volatile.Read(ref _server.Connections) == 0);
        Assert.DoesNotContain(_session.Memory, SharedMemory.Mapped);
    }

    [Fact]
    public void ALoanThatOutlivesAllConnectionsStillGoesBack()
    {
        ClientReply room = Run(_session.Reserve([Large], TimeSpan.Zero));
        _session.Dispose();
        Wait(() => Volatile.Read(ref _server.Connections) == 0);
        Assert.Empty(_server.Releases);
        room.Dispose();
        Wait(() => _server.Releases.Any(release => !release.Loans.IsDefault && release.Loans.Contains(1)));
        Wait(() => Volatile.Read(ref _server.Connections) == 0);
    }

    [Fact]
    public void BeforeAForkEveryLeaseOfALiveViewIsPinned()
    {
        Put(Frame(Large, 3, 0));
        ForkPins.Prepare();
        ForkPins.Finish();
        Assert.Equal(0, _server.Count(MessageType.Pin));
        using ClientReply reply = Get();
        Assert.True(ForkPins.Prepare());
        ForkPins.Finish();
        Assert.Equal(1, _server.Count(MessageType.Pin));
    }

    [Fact]
    public void WhatComesBetweenThePinsAndTheForkIsCopied()
    {
        Put(Frame(Large, 3, 0));
        ForkPins.Prepare();
        ForkPins.Prepare();
        ForkPins.Finish();
        using (ClientReply reply = Get())
        {
            Assert.Equal((0L, 1L), (_session.Counters.FramesViewed, _session.Counters.FramesAliased));
            Stored(0).Fill(9); // the core uses the room again
            Assert.Equal(-1, MemoryServer.Bytes(reply).IndexOfAnyExcept((byte)3));
        }
        ForkPins.Finish();
        using ClientReply later = Get();
        Assert.Equal(1, _session.Counters.FramesViewed);
    }

    [Fact]
    public void AForkIsToldWhatCouldNotBePinnedInTime()
    {
        Put(Frame(Large, 3, 0));
        using ClientReply reply = Get();
        _server.Silent = MessageType.Pin;
        Assert.False(ForkPins.Prepare());
        ForkPins.Finish();
    }

    private void Put(params FrameSegment[] segments) => Run(_session.Begin(Request(MessageType.Put, segments))).Dispose();

    private ClientReply Get() => Run(_session.Begin(Request(MessageType.Get)));

    private static ClientReply Run(SteppedCall call)
    {
        using (call)
        {
            ClientReply reply = call.Step(Patience) ?? throw new TimeoutException("no answer");
            Assert.False(reply.IsError);
            return reply;
        }
    }

    private static void Wait(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, Patience), "it did not happen");

    private Span<byte> Stored(int frame) => new(_server.At(_server.Stored[frame].Place), (int)_server.Stored[frame].Length);

    private ClientRequest Request(MessageType type, params FrameSegment[] segments) => new((ushort)type, Fill(1, 0x80), segments, TimeSpan.FromSeconds(20));

    private FrameSegment Frame(int bytes, byte value, int frame) => new(Fill(bytes, value), frame);

    private NativeSegment Fill(int bytes, byte value)
    {
        NativeBuffer buffer = _pool.Rent(bytes);
        _memory.Add(buffer);
        buffer.Span.Fill(value);
        return buffer.Segment;
    }
}

using TransferQueue.Client;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Client;

public sealed class SubmittedCallTests : IDisposable
{
    private readonly EventFd _event = new();
    private readonly CompletionQueue _queue;

    public SubmittedCallTests() => _queue = new CompletionQueue(_event.Fd);

    public void Dispose()
    {
        _queue.Dispose();
        _event.Dispose();
    }

    [Fact]
    public void TheQueueIsToldOnceForManyTickets()
    {
        for (long ticket = 1; ticket <= 5; ticket++)
            _queue.Post(ticket);
        Assert.Equal(1UL, ReadEvent());
        var tickets = new long[3];
        Assert.Equal(3, _queue.Take(tickets));
        Assert.Equal([1L, 2L, 3L], tickets);
        Assert.Equal(2, _queue.Take(tickets));
        Assert.Equal(0, _queue.Take(tickets));
        _queue.Post(9);
        Assert.Equal(1UL, ReadEvent());
    }

    [Fact]
    public void ATicketIsEitherTakenOrAnnouncedWhileThreadsPost()
    {
        const int Posts = 20_000;
        Thread[] posters = [.. Enumerable.Range(0, 2).Select(part => new Thread(() =>
        {
            for (int i = 0; i < Posts; i++)
                _queue.Post(part * Posts + i);
        }))];
        Array.ForEach(posters, thread => thread.Start());
        var seen = new HashSet<long>();
        var tickets = new long[64];
        while (seen.Count < 2 * Posts)
        {
            Assert.True(UnixSocket.Wait(_event.Fd, forRead: true, forWrite: false, 20_000), $"no word after {seen.Count} tickets");
            _event.Clear();
            int count = tickets.Length;
            while (count == tickets.Length)
            {
                count = _queue.Take(tickets);
                Assert.All(tickets[..count], ticket => Assert.True(seen.Add(ticket)));
            }
        }
        Array.ForEach(posters, thread => thread.Join());
    }

    [Fact]
    public void TheFirstOutcomeStaysAndIsReportedOnce()
    {
        var call = new PlainCall(_queue) { Ticket = 7 };
        call.Complete(new NotReadyException("first"));
        call.Complete(new NotReadyException("second"));
        call.Cancel();
        var tickets = new long[4];
        Assert.Equal(1, _queue.Take(tickets));
        Assert.Equal(7, tickets[0]);
        Assert.Equal("first", Assert.Throws<NotReadyException>(call.TakeReply).Message);
        Assert.Throws<InvalidArgumentException>(call.TakeReply);
    }

    [Fact]
    public void AnAnswerThatComesAfterTheDropGoesBackToThePool()
    {
        int before = ClientMemory.Pool.OutCount;
        var call = new PlainCall(_queue) { Ticket = 7 };
        call.Dispose();
        using var incoming = new IncomingMessage();
        incoming.Header = ClientMemory.Pool.Rent(100);
        call.Complete(new ClientReply(incoming));
        Assert.Equal(before, ClientMemory.Pool.OutCount);
        Assert.Equal(0, _queue.Take(new long[1]));
    }

    [Fact]
    public void AClosedDescriptorIsNoQueue() =>
        Assert.Throws<InvalidArgumentException>(() => new CompletionQueue(1_000_000));

    [Fact]
    public void PostingToAClosedQueueDoesNothing()
    {
        var queue = new CompletionQueue(_event.Fd);
        queue.Dispose();
        queue.Post(1);
        Assert.Equal(0UL, ReadEvent());
    }

    private unsafe ulong ReadEvent()
    {
        if (!UnixSocket.Wait(_event.Fd, forRead: true, forWrite: false, 0))
            return 0;
        ulong count;
        Assert.Equal(8, TransferQueue.Transport.Native.LibcSockets.read(_event.Fd, &count, 8));
        return count;
    }

    private sealed class PlainCall(CompletionQueue queue) : SubmittedCall(queue)
    {
        public override void Cancel() => CompleteCancelled();
    }
}

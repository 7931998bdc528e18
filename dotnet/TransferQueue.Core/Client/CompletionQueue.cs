using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using TransferQueue.Client.Native;

namespace TransferQueue.Client;

/// <summary>
/// Tickets of completed requests for one reader, and an eventfd that tells him: written once until he comes, however many there are.
/// </summary>
/// <remarks>
/// Any thread posts, one takes. No locks: the reader holds Python's GIL. Between "enqueue, then set the flag" and "clear the flag, then
/// dequeue" stand full fences (Interlocked), so that a ticket is either taken or announced.
/// </remarks>
internal sealed unsafe class CompletionQueue : IDisposable
{
    private readonly ConcurrentQueue<long> _tickets = new();
    private readonly SafeFileHandle _eventfd;
    private int _isAnnounced;

    /// <summary>Makes a queue that writes to a duplicate of <paramref name="eventfd"/>: the caller may close his at any time.</summary>
    /// <exception cref="InvalidArgumentException">It is no open descriptor.</exception>
    public CompletionQueue(int eventfd)
    {
        int own = Libc.fcntl(eventfd, Libc.F_DUPFD_CLOEXEC, 0);
        if (own < 0)
            throw new InvalidArgumentException($"completion queue: descriptor {eventfd}: {Marshal.GetLastPInvokeErrorMessage()}; give an open eventfd");
        _eventfd = new SafeFileHandle(own, ownsHandle: true);
    }

    /// <summary>Adds a ticket. After <see cref="Dispose"/> nobody is told any more.</summary>
    public void Post(long ticket)
    {
        _tickets.Enqueue(ticket);
        if (Interlocked.Exchange(ref _isAnnounced, 1) != 0)
            return;
        try
        {
            ulong one = 1;
            _ = Libc.write(_eventfd, &one, sizeof(ulong));
        }
        catch (ObjectDisposedException)
        {
            // The reader has gone.
        }
    }

    /// <summary>Takes up to <paramref name="tickets"/>.Length tickets.</summary>
    /// <returns>How many.</returns>
    public int Take(Span<long> tickets)
    {
        Interlocked.Exchange(ref _isAnnounced, 0);
        int count = 0;
        while (count < tickets.Length && _tickets.TryDequeue(out long ticket))
            tickets[count++] = ticket;
        return count;
    }

    /// <inheritdoc/>
    public void Dispose() => _eventfd.Dispose();
}

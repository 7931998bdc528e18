using System.Collections.Immutable;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>
/// What a forked child looks at must stay as it is, though the child knows nothing of leases: before a fork all leases of live views are
/// pinned to a pipe whose write end the child inherits; the pins end with the last process that has it. What other threads get from then
/// until the fork is copied: no pin would hold it.
/// </summary>
/// <remarks>Thread-safe. Several threads may fork at a time: the ends stay here until the last of them is through.</remarks>
internal static class ForkPins
{
    /// <summary>How long a fork waits for the core at most.</summary>
    private static readonly TimeSpan MostWait = TimeSpan.FromSeconds(1);

    private static readonly Lock Gate = new();
    private static readonly List<int> Ends = [];

    /// <summary>Forks that are under way. Changed under <see cref="Gate"/>, read without it.</summary>
    private static int _forking;

    /// <summary>Whether a view that begins now might be seen by a child without a pin. Its lease must have begun before this is asked.</summary>
    /// <remarks>
    /// A barrier on both sides: who begins a lease and then sees no fork is seen by the fork's list of leases. No waiting instead: the
    /// forking thread may want a lock that the reader's caller holds.
    /// </remarks>
    public static bool IsForking
    {
        get
        {
            Interlocked.MemoryBarrier();
            return Volatile.Read(ref _forking) > 0;
        }
    }

    /// <summary>Before a fork: pins.</summary>
    /// <returns>Whether all is pinned; what can't be in time is not.</returns>
    public static bool Prepare()
    {
        lock (Gate)
            _forking++;
        Interlocked.MemoryBarrier();
        bool isAll = true;
        var until = Deadline.After(MostWait);
        foreach (SharedMemory memory in SharedMemory.Mapped)
        {
            ImmutableArray<ulong> leases = memory.Leases;
            if (leases.IsEmpty || memory.IsRetired)
                continue; // a core's next life has none of these
            isAll &= TryPin(memory.Session, leases, until, out int[] ends);
            lock (Gate)
                Ends.AddRange(ends);
        }
        return isAll;
    }

    /// <summary>After it, in the parent: its own ends go.</summary>
    public static void Finish()
    {
        lock (Gate)
        {
            if (_forking == 0 || --_forking > 0)
                return;
            Ends.ForEach(UnixSocket.Close);
            Ends.Clear();
        }
    }

    private static bool TryPin(ClientSession session, ImmutableArray<ulong> leases, Deadline until, out int[] ends)
    {
        ends = [];
        try
        {
            using BlockingCall call = BlockingCall.Of(session, new PinRequest(leases), MostWait, survivesClose: true);
            while (!until.IsOver)
            {
                using ClientReply? reply = call.Step(until.Left);
                if (reply is null)
                    continue;
                ends = reply.TakeFds();
                return !reply.IsError;
            }
        }
        catch (ConnectionLostException)
        {
            return true; // the core is gone: nobody uses its memory again
        }
        catch (TransferQueueException)
        {
            // Too late, or refused.
        }
        return false;
    }
}

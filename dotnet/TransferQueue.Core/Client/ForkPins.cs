using System.Collections.Immutable;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>
/// What a forked child looks at must stay as it is, though the child knows nothing of leases: before a fork all leases of live views are
/// pinned to a pipe whose write end the child inherits; the pins end with the last process that has it.
/// </summary>
/// <remarks>Thread-safe. Several threads may fork at a time: the ends stay here until the last of them is through.</remarks>
internal static class ForkPins
{
    /// <summary>How long a fork waits for the core at most.</summary>
    private static readonly TimeSpan MostWait = TimeSpan.FromSeconds(1);

    private static readonly Lock Gate = new();
    private static readonly List<int> Ends = [];
    private static int _forking;

    /// <summary>Before a fork: pins. What can't be pinned in time is not.</summary>
    public static void Prepare()
    {
        lock (Gate)
            _forking++;
        var until = Deadline.After(MostWait);
        foreach (SharedMemory memory in SharedMemory.Mapped)
        {
            ImmutableArray<ulong> leases = memory.Leases;
            if (leases.IsEmpty)
                continue;
            int[] ends = Pin(memory.Session, leases, until);
            lock (Gate)
                Ends.AddRange(ends);
        }
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

    private static int[] Pin(ClientSession session, ImmutableArray<ulong> leases, Deadline until)
    {
        try
        {
            using BlockingCall call = BlockingCall.Of(session, new PinRequest(leases), MostWait, survivesClose: true);
            while (!until.IsOver)
                if (call.Step(until.Left) is { } reply)
                    using (reply)
                        return reply.TakeFds();
        }
        catch (TransferQueueException)
        {
            // The core is gone, and its memory is nobody's then.
        }
        return [];
    }
}

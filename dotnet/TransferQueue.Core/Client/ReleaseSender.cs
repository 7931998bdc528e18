using System.Collections.Immutable;
using TransferQueue.Protocol;

namespace TransferQueue.Client;

/// <summary>
/// Tells the core what a session needs no more: leases, loans, answers. Many at once, from a thread of its own, so that neither a finalizer nor a
/// call waits for it; it tries again when a connection ends. The core ignores what it is told twice.
/// </summary>
/// <remarks>Thread-safe. The thread starts with the first item and ends when nothing has come for a while.</remarks>
internal sealed class ReleaseSender(ClientSession session, SharedMemory memory)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>How long items gather before they go out together.</summary>
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(1);

    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly AutoResetEvent _wanted = new(false);
    private List<ulong> _leases = [];
    private List<ulong> _loans = [];
    private List<ulong> _replies = [];
    private bool _hasThread;

    /// <summary>A lease has ended.</summary>
    public void AddLease(ulong lease) => Add(ref _leases, lease);

    /// <summary>A loan comes back unused, or what is left of it.</summary>
    public void AddLoan(ulong loan) => Add(ref _loans, loan);

    /// <summary>Nobody will read the answer to this request.</summary>
    public void AddReply(ulong request) => Add(ref _replies, request);

    /// <summary>The session was closed: with nothing to wait for there is nothing to keep a connection for.</summary>
    public void Wake()
    {
        lock (_gate)
            StartThread();
        _wanted.Set();
    }

    private bool IsEmpty => _leases.Count + _loans.Count + _replies.Count == 0;

    private void Add(ref List<ulong> list, ulong number)
    {
        lock (_gate)
        {
            list.Add(number);
            StartThread();
        }
        _wanted.Set();
    }

    private void StartThread()
    {
        if (_hasThread)
            return;
        _hasThread = true;
        new Thread(Run) { IsBackground = true, Name = "TransferQueue releases" }.UnsafeStart();
    }

    private void Run()
    {
        while (true)
        {
            bool hasCome = _wanted.WaitOne(session.IsDisposed ? TimeSpan.Zero : IdleTime);
            if (hasCome)
                Thread.Sleep(Gathering);
            lock (_gate)
            {
                if (IsEmpty && (!hasCome || session.IsDisposed))
                {
                    _hasThread = false;
                    break;
                }
            }
            if (Take() is { } batch)
                Send(batch);
        }
        session.EndLinger();
    }

    private ReleaseRequest? Take()
    {
        lock (_gate)
        {
            if (IsEmpty)
                return null;
            var batch = new ReleaseRequest(Taken(_leases), Taken(_loans), Taken(_replies));
            (_leases, _loans, _replies) = ([], [], []);
            return batch;
        }
    }

    private static ImmutableArray<ulong> Taken(List<ulong> numbers) => numbers.Count == 0 ? default : [.. numbers];

    private void Send(ReleaseRequest batch)
    {
        while (!memory.IsRetired)
        {
            try
            {
                using BlockingCall call = BlockingCall.Of(session, batch, Timeout, survivesClose: true);
                call.Finish().Dispose(); // an ERROR says that the core has none of these: nothing to do
                return;
            }
            catch (Exception) when (!session.IsDisposed)
            {
                Thread.Sleep(Pause); // the core is stopped, or starts again
            }
            catch (Exception)
            {
                return; // closed here and gone there
            }
        }
    }
}

using System.Collections.Concurrent;

namespace TransferQueue.Client;

/// <summary>
/// The ids of a client's requests, 1, 2, 3 …, and the smallest one that still waits for its answer: what the client tells the
/// core as "acknowledged", so that kept answers may go.
/// </summary>
/// <remarks>Thread-safe. <see cref="End"/> takes no lock: it is called by functions that hold Python's GIL.</remarks>
internal sealed class RequestIds
{
    private readonly Lock _gate = new();
    private readonly ConcurrentQueue<ulong> _ended = new();

    /// <summary>For the ids from <see cref="_smallest"/> on, in order: whether the request has ended. A ring.</summary>
    private bool[] _window = new bool[64];

    /// <summary>The smallest id that has not ended.</summary>
    private ulong _smallest = 1;

    /// <summary>The id that the next request gets.</summary>
    private ulong _next = 1;

    /// <summary>The next id. It counts as outstanding until <see cref="End"/>.</summary>
    public ulong Begin()
    {
        lock (_gate)
        {
            Settle();
            if (_next - _smallest == (ulong)_window.Length)
                Grow();
            return _next++;
        }
    }

    /// <summary>The client has this request's answer, or does not want it any more. Once per id.</summary>
    public void End(ulong id) => _ended.Enqueue(id);

    /// <summary>The smallest outstanding id; the next one if nothing is outstanding.</summary>
    public ulong GetAcknowledged()
    {
        lock (_gate)
        {
            Settle();
            return _smallest;
        }
    }

    private void Settle()
    {
        ulong mask = (ulong)_window.Length - 1;
        while (_ended.TryDequeue(out ulong id))
            _window[id & mask] = true;
        while (_smallest < _next && _window[_smallest & mask])
            _window[_smallest++ & mask] = false;
    }

    private void Grow()
    {
        var wider = new bool[_window.Length * 2];
        for (ulong id = _smallest; id < _next; id++)
            wider[id & ((ulong)wider.Length - 1)] = _window[id & ((ulong)_window.Length - 1)];
        _window = wider;
    }
}

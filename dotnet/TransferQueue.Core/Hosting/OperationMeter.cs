using System.Collections.Immutable;
using System.Diagnostics;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>How often what is asked, how long answers take, how many rows they are about. Loop thread only.</summary>
/// <remarks>A request that is answered at once, as most are, costs two readings of the clock and no entry in a table.</remarks>
internal sealed class OperationMeter
{
    /// <summary>Types from here on are replies.</summary>
    private const int Types = (int)MessageType.Ok;

    private static readonly ImmutableArray<long> Bounds = OperationMetrics.BoundsMicroseconds;

    private readonly Tally?[] _tallies = new Tally?[Types];

    /// <summary>Requests that are not answered yet and are no longer the current one.</summary>
    private readonly Dictionary<(ServerConnection Connection, ulong Request), Asked> _open = [];
    private (ServerConnection Connection, ulong Request, Asked Asked)? _current;

    /// <summary>A request's header has come; until <see cref="Leave"/> it is the current one.</summary>
    public void Enter(ServerConnection connection, ulong request, ushort type) =>
        _current = IsMetered(type) ? (connection, request, new Asked(type, Stopwatch.GetTimestamp())) : null;

    /// <summary>The current request is answered, or will be later.</summary>
    public void Leave()
    {
        if (_current is { } current)
            _open[(current.Connection, current.Request)] = current.Asked;
        _current = null;
    }

    /// <summary>A request is answered; one that is not known was answered before.</summary>
    public void Answer(ServerConnection connection, ulong request, bool isError)
    {
        Asked asked;
        if (_current is { } current && current.Request == request && current.Connection == connection)
            (asked, _current) = (current.Asked, null);
        else if (!_open.Remove((connection, request), out asked))
            return;
        Of(asked.Type).Add(Stopwatch.GetElapsedTime(asked.Since), isError);
    }

    /// <summary>Counts rows.</summary>
    public void Rows(MessageType type, int rows) => Of((int)type).Rows += rows;

    /// <summary>A connection has ended; what it still waits for is answered to nobody.</summary>
    public void Forget(ServerConnection connection)
    {
        foreach (var key in _open.Keys.Where(key => key.Connection == connection).ToList())
            _open.Remove(key);
    }

    /// <summary>What was counted, by type.</summary>
    public ImmutableArray<OperationMetrics> Snapshot() =>
        [.. _tallies.Select((tally, type) => tally?.Snapshot(type)).OfType<OperationMetrics>()];

    private Tally Of(int type) => _tallies[type] ??= new Tally();

    /// <summary>Greetings, what clients say of themselves and monitoring are no work that anybody wants to see.</summary>
    private static bool IsMetered(ushort type) => type is >= (int)MessageType.Put and < (int)MessageType.Stats or (int)MessageType.Tags or (int)MessageType.Reserve;

    /// <summary>A request on its way.</summary>
    /// <param name="Type">Its type.</param>
    /// <param name="Since">When it came, as <see cref="Stopwatch.GetTimestamp"/> has it.</param>
    private readonly record struct Asked(ushort Type, long Since);

    private sealed class Tally
    {
        private readonly long[] _buckets = new long[Bounds.Length + 1];
        private long _count;
        private long _errors;
        private TimeSpan _time;

        public long Rows { get; set; }

        public void Add(TimeSpan time, bool isError)
        {
            _count++;
            _errors += isError ? 1 : 0;
            _time += time;
            int bucket = Bounds.AsSpan().BinarySearch((long)Math.Ceiling(time.TotalMicroseconds));
            _buckets[bucket >= 0 ? bucket : ~bucket]++;
        }

        public OperationMetrics Snapshot(int type) => new(type, _count, _errors, Rows, (long)_time.TotalMicroseconds, [.. _buckets]);
    }
}

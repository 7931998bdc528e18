using System.Diagnostics;

namespace TransferQueue.Client;

/// <summary>A moment of the monotonic clock until which something may wait. An immutable value.</summary>
internal readonly struct Deadline
{
    private readonly long _at;

    private Deadline(long at) => _at = at;

    /// <summary>Whether the moment has passed.</summary>
    public bool IsOver => Stopwatch.GetTimestamp() >= _at;

    /// <summary>The time until then; zero once it has passed.</summary>
    public TimeSpan Left
    {
        get
        {
            long left = _at - Stopwatch.GetTimestamp();
            return left <= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds((double)left / Stopwatch.Frequency);
        }
    }

    /// <summary>The moment <paramref name="wait"/> from now.</summary>
    public static Deadline After(TimeSpan wait) =>
        new(Stopwatch.GetTimestamp() + (long)(wait.TotalSeconds * Stopwatch.Frequency));

    /// <summary>The earlier of both.</summary>
    public static Deadline Earlier(Deadline one, Deadline other) => one._at <= other._at ? one : other;
}

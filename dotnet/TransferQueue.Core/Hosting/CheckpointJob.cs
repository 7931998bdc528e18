using TransferQueue.Protocol;

namespace TransferQueue.Hosting;

/// <summary>One piece of work on a checkpoint: what was asked, how far it is, how it ended.</summary>
/// <remarks>The checkpoint thread works on it, the loop reads its progress; the few fields that both see are volatile or interlocked.</remarks>
/// <param name="number">Unique in the life of the core, > 0.</param>
/// <param name="request">What was asked.</param>
/// <param name="roomTimeout">How long a load waits for room.</param>
internal sealed class CheckpointJob(long number, CheckpointRequest request, TimeSpan roomTimeout)
{
    private const long LogMilliseconds = 5000;

    private readonly long _begun = Environment.TickCount64;
    private volatile Exception? _error;
    private volatile bool _isDone;
    private volatile bool _isCancelled;
    private volatile string? _note;
    private long _bytes;
    private long _total;
    private long _logged = Environment.TickCount64;

    /// <summary>Its number.</summary>
    public long Number => number;

    /// <summary>What was asked.</summary>
    public CheckpointRequest Request => request;

    /// <summary>How long a load waits for room.</summary>
    public TimeSpan RoomTimeout => roomTimeout;

    /// <summary>Whether it has ended, well or not.</summary>
    public bool HasEnded => _isDone || _error is not null;

    /// <summary>Why it failed; null: it did not.</summary>
    public Exception? Error => _error;

    /// <summary>What the caller should know of the result.</summary>
    public string? Note
    {
        get => _note;
        set => _note = value;
    }

    /// <summary>Whether what it loaded is in use: then it is not to be freed, whatever goes wrong behind that. Set on the loop, read by who waited for it.</summary>
    public bool HasSwapped { get; set; }

    /// <summary>Bytes that it will be; 0: not known yet.</summary>
    public long Total
    {
        get => Interlocked.Read(ref _total);
        set => Interlocked.Exchange(ref _total, value);
    }

    /// <summary>How far it is.</summary>
    public CheckpointProgressReply Progress => new(_isDone, Interlocked.Read(ref _bytes), Total, _note);

    /// <summary>Asks it to end.</summary>
    public void Cancel() => _isCancelled = true;

    /// <summary>Counts bytes; now and then the log hears of it.</summary>
    /// <exception cref="CheckpointException">It was cancelled.</exception>
    public void Report(long bytes)
    {
        CheckCancelled();
        long done = Interlocked.Add(ref _bytes, bytes);
        if (Environment.TickCount64 - _logged < LogMilliseconds)
            return;
        _logged = Environment.TickCount64;
        CoreLog.Note($"checkpoint {request.Path}: {request.Action}: {done >> 20} of {Total >> 20} MiB");
    }

    /// <summary>Ends here if that was asked for.</summary>
    /// <exception cref="CheckpointException">It was cancelled.</exception>
    public void CheckCancelled()
    {
        if (_isCancelled)
            throw new CheckpointException($"checkpoint {request.Path}: {request.Action} was cancelled before its end; nothing has changed");
    }

    /// <summary>Notes its end.</summary>
    public void End(Exception? error)
    {
        string how = error is null ? "done" : $"failed: {error.Message}";
        CoreLog.Note($"checkpoint {request.Path}: {request.Action}: {how} after {Environment.TickCount64 - _begun} ms, {Interlocked.Read(ref _bytes)} bytes{(_note is null ? "" : "; " + _note)}");
        if (error is null)
            _isDone = true;
        else
            _error = error;
    }
}

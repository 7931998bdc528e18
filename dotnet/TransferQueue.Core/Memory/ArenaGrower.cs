namespace TransferQueue.Memory;

/// <summary>
/// Lets an arena grow in the background, so that the writer never waits for the kernel: takes memory, tells the writer, and then puts the
/// pages into the server's page table slice by slice. Growth goes before populating.
/// </summary>
/// <remarks>The writer owns it; one thread of its own, started when first needed, does the work. A lock guards what the two share.</remarks>
/// <param name="allocator">Whose memory.</param>
/// <param name="post">Runs an action on the writer's thread; any thread may call it.</param>
internal sealed class ArenaGrower(ExtentAllocator allocator, Action<Action> post) : IDisposable
{
    private const long PopulatedAtOnce = 8L << 20;

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _work = new(0);
    private readonly Queue<(ArenaSegment Segment, long Offset, long Bytes)> _unpopulated = new();
    private ArenaGrowth? _next;
    private Thread? _thread;
    private volatile bool _isStopping;

    /// <summary>Whether a step is on its way. Writer only.</summary>
    public bool IsGrowing { get; private set; }

    /// <summary>Why the last step failed; null when it didn't. Writer only.</summary>
    public TransferQueueException? Failure { get; private set; }

    /// <summary>Bytes that were put into the server's page table so far. Any thread.</summary>
    public long PopulatedBytes => Interlocked.Read(ref _populatedBytes);

    private long _populatedBytes;

    /// <summary>Called on the writer's thread when a step has ended: there is more memory, or <see cref="Failure"/>.</summary>
    public event Action? Ended;

    /// <summary>Begins to grow so that an extent of so many bytes will fit.</summary>
    /// <returns>Whether a step is on its way, this one or an earlier one; else the capacity is used up.</returns>
    public bool TryStart(long bytes)
    {
        if (IsGrowing || _isStopping)
            return IsGrowing;
        if (allocator.PlanGrowth(bytes) is not { } growth)
            return false;
        IsGrowing = true;
        lock (_gate)
            _next = growth;
        _work.Release();
        if (_thread is null)
            (_thread = new Thread(Serve) { IsBackground = true, Name = "tq-memory" }).Start();
        return true;
    }

    /// <summary>Ends the thread; what is on its way is finished or dropped, and nothing is posted any more.</summary>
    public void Dispose()
    {
        _isStopping = true;
        _work.Release();
        _thread?.Join();
        _work.Dispose();
    }

    private void Serve()
    {
        while (true)
        {
            _work.Wait();
            if (_isStopping)
                return;
            ArenaGrowth? growth;
            lock (_gate)
                (growth, _next) = (_next, null);
            if (growth is not null)
                Grow(growth);
            else
                PopulateSlice();
        }
    }

    private void Grow(ArenaGrowth growth)
    {
        TransferQueueException? failure = null;
        try
        {
            allocator.Arena.Take(growth);
        }
        catch (TransferQueueException error)
        {
            failure = error;
        }
        if (!_isStopping)
            post(() => End(growth, failure));
    }

    /// <summary>The end of a step, on the writer's thread.</summary>
    private void End(ArenaGrowth growth, TransferQueueException? failure)
    {
        IsGrowing = false;
        Failure = failure;
        if (failure is null)
        {
            allocator.Commit(growth);
            Populate(growth);
        }
        else
            allocator.Arena.GiveUp(growth);
        Ended?.Invoke();
    }

    private void Populate(ArenaGrowth growth)
    {
        if (growth.Segment.IsFile)
            return; // it would be written to the disk as zeros; whoever fills it touches it first
        lock (_gate)
        {
            for (long done = 0; done < growth.TakenBytes; done += PopulatedAtOnce)
                _unpopulated.Enqueue((growth.Segment, growth.Offset + done, Math.Min(PopulatedAtOnce, growth.TakenBytes - done)));
        }
        if (!_isStopping)
            _work.Release((int)((growth.TakenBytes + PopulatedAtOnce - 1) / PopulatedAtOnce));
    }

    private void PopulateSlice()
    {
        (ArenaSegment Segment, long Offset, long Bytes) slice;
        lock (_gate)
        {
            if (!_unpopulated.TryDequeue(out slice))
                return;
        }
        if (slice.Segment.TryPopulate(slice.Offset, slice.Bytes))
            Interlocked.Add(ref _populatedBytes, slice.Bytes);
    }
}

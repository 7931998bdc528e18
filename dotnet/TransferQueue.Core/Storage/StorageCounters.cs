namespace TransferQueue.Storage;

/// <summary>What puts and gets cost, counted: tests hold it against rows, units and runs. Any thread.</summary>
internal sealed class StorageCounters
{
    private long _slicesPlaced;
    private long _bytesPlaced;
    private long _runsRead;
    private long _segmentsSent;
    private long _extentsTouched;
    private long _bytesLoaned;
    private long _bytesViewed;
    private long _bytesGathered;
    private long _bytesInline;

    /// <summary>Columns of a put × units that got a part of it.</summary>
    public long SlicesPlaced => Interlocked.Read(ref _slicesPlaced);

    /// <summary>Bytes that puts brought.</summary>
    public long BytesPlaced => Interlocked.Read(ref _bytesPlaced);

    /// <summary>Stretches of rows that gets read.</summary>
    public long RunsRead => Interlocked.Read(ref _runsRead);

    /// <summary>Stretches of memory that the frames of gets were made of.</summary>
    public long SegmentsSent => Interlocked.Read(ref _segmentsSent);

    /// <summary>Extents that gets leased.</summary>
    public long ExtentsTouched => Interlocked.Read(ref _extentsTouched);

    /// <summary>Of the bytes that puts brought, those that their clients had copied to shared memory.</summary>
    public long BytesLoaned => Interlocked.Read(ref _bytesLoaned);

    /// <summary>Bytes that readers look at where they are stored.</summary>
    public long BytesViewed => Interlocked.Read(ref _bytesViewed);

    /// <summary>Bytes that were gathered in shared memory for readers.</summary>
    public long BytesGathered => Interlocked.Read(ref _bytesGathered);

    /// <summary>Bytes of columns that went to readers in messages.</summary>
    public long BytesInline => Interlocked.Read(ref _bytesInline);

    internal void Loaned(long bytes) => Interlocked.Add(ref _bytesLoaned, bytes);

    internal void Went(ColumnWay way, long bytes)
    {
        if (way == ColumnWay.Inline)
            Interlocked.Add(ref _bytesInline, bytes);
        else if (way == ColumnWay.Gathered)
            Interlocked.Add(ref _bytesGathered, bytes);
        else
            Interlocked.Add(ref _bytesViewed, bytes);
    }

    internal void Placed(long slices, long bytes)
    {
        Interlocked.Add(ref _slicesPlaced, slices);
        Interlocked.Add(ref _bytesPlaced, bytes);
    }

    internal void Touched(long extents) => Interlocked.Add(ref _extentsTouched, extents);

    internal void Read(long runs, long segments)
    {
        Interlocked.Add(ref _runsRead, runs);
        Interlocked.Add(ref _segmentsSent, segments);
    }
}

using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Storage;

internal sealed partial class StorageManager
{
    private long _lastReader;

    /// <summary>Leases that were made and not returned.</summary>
    public int LeaseCount { get; private set; }

    /// <summary>Keeps the extents of some columns until <see cref="Return"/>.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Where they lie, as Control found it since the last change.</param>
    public ReadLease Lease(int rows, ImmutableArray<ColumnRuns> columns)
    {
        List<StoredColumn> held = new(columns.Length);
        _lastReader++;
        foreach (ColumnRuns column in columns)
        {
            StoredColumn? last = null;
            foreach (ColumnRun run in column.Runs)
            {
                if (!ReferenceEquals(run.Column, last) && _units[run.Column.Unit].TryAddReader(run.Column.Extent, _lastReader))
                    held.Add(run.Column);
                last = run.Column;
            }
        }
        Counters.Touched(held.Count);
        LeaseCount++;
        return new ReadLease(rows, columns, held);
    }

    /// <summary>Ends a lease: what was released meanwhile is freed with its last reader.</summary>
    public void Return(ReadLease lease)
    {
        if (lease.IsOver)
            throw new InvalidOperationException("storage: a lease was returned twice");
        lease.IsOver = true;
        LeaseCount--;
        foreach (StoredColumn column in lease.Held)
            _units[column.Unit].RemoveReader(column.Extent);
    }

    /// <summary>Makes a reply's frames from leased columns, all of them in the message; see <see cref="ReplyFrames"/>. Any thread.</summary>
    public ReplyFrames Read(ReadLease lease) => Build(Measure(lease));

    /// <summary>Whether a column of a lease lies in a file.</summary>
    public bool IsInFile(ReadLease lease) => Files is not null && lease.Held.Exists(column => IsFile(column.Unit));

    /// <summary>Counts the bytes of leased columns. Any thread.</summary>
    public MeasuredReply Measure(ReadLease lease) => new(this, lease);

    /// <summary>Makes a reply's frames. Any thread.</summary>
    public ReplyFrames Build(MeasuredReply reply)
    {
        ReplyFrames frames = new ReplyBuilder(this, _scratch).Build(reply);
        Counters.Read(reply.Lease.Columns.Sum(column => (long)column.Runs.Length), frames.Segments.Length);
        return frames;
    }
}

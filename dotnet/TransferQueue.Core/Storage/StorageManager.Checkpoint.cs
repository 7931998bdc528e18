using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

internal sealed partial class StorageManager
{
    /// <summary>Extents that one call of <see cref="FreeSome"/> frees at most: about half a millisecond.</summary>
    private const int FreedAtOnce = 1024;

    /// <summary>What was replaced as a whole and is released bit by bit: each step yields how many cells it took.</summary>
    private readonly Queue<(IEnumerator<int> Steps, List<StoredColumn> Released)> _abandoned = new();

    /// <summary>Bytes that are kept only because a checkpoint is being written.</summary>
    public long HeldBytes => _units.Sum(unit => unit.HeldBytes);

    /// <summary>Keeps everything that is stored now until <see cref="EndHold"/>, also what is cleared or replaced meanwhile.</summary>
    public void Hold()
    {
        foreach (StorageUnit unit in _units)
            unit.Hold();
    }

    /// <summary>Ends <see cref="Hold"/>; <see cref="FreeSome"/> frees what nobody else needs.</summary>
    public void EndHold()
    {
        foreach (StorageUnit unit in _units)
            unit.EndHold();
    }

    /// <summary>Frees some of what was kept for a checkpoint or replaced by one.</summary>
    /// <returns>Whether more is left: then call it again, in another step.</returns>
    public bool FreeSome()
    {
        bool isMore = false;
        foreach (StorageUnit unit in _units)
            isMore |= unit.FreeHeld(FreedAtOnce);
        if (!_abandoned.TryPeek(out var abandoned))
            return isMore;
        bool hasNext = true;
        for (int i = 0; i < FreedAtOnce && (hasNext = abandoned.Steps.MoveNext()); i++)
        {
            CommitRelease(abandoned.Released);
            abandoned.Released.Clear();
        }
        CommitRelease(abandoned.Released);
        if (!hasNext)
            _abandoned.Dequeue();
        return isMore || _abandoned.Count > 0;
    }

    /// <summary>Gives out an extent for a column of a checkpoint, if there is room now: in a file if it is large, else in the unit with the most room.</summary>
    /// <param name="bytes">Its length.</param>
    /// <param name="extent">The extent.</param>
    public bool TryAllocate(long bytes, out OwnedExtent extent)
    {
        int unit = IsOffloaded(bytes) ? _memoryUnits : 0;
        for (int i = 1; i < _memoryUnits && unit < _memoryUnits; i++)
            unit = _units[i].UsedBytes < _units[unit].UsedBytes ? i : unit;
        bool isThere = _units[unit].TryAllocate(bytes, out ExtentRef room);
        extent = new OwnedExtent(unit, room);
        return isThere;
    }

    /// <summary>Begins to take memory, and room in files, from the system for columns of these lengths.</summary>
    public void GrowFor(ReadOnlySpan<long> lengths) => Grow(Missing(lengths, default));

    /// <summary>Writes a column that is held (<see cref="Hold"/>). A worker's thread.</summary>
    /// <exception cref="ProtocolException">A client has written over the offsets of what it had put: better to hear of it now than when it is read.</exception>
    public unsafe void Save(StoredColumn column, CheckpointFileWriter file)
    {
        NativeSegment bytes = Segment(column);
        if (column.Layout.HasOffsets)
            ColumnFrame.Validate(new ColumnDescriptor("", column.Layout), bytes.Pointer, bytes.Length, column.Rows);
        file.Add(bytes);
    }

    /// <summary>Reads the next column of a file and checks it. A worker's thread.</summary>
    /// <param name="file">The file.</param>
    /// <param name="column">What it says of the column.</param>
    /// <param name="extent">Room of its length that nobody else knows.</param>
    /// <exception cref="CheckpointException">It is damaged.</exception>
    public StoredColumn Restore(CheckpointFileReader file, CheckpointColumn column, OwnedExtent extent)
    {
        NativeSegment bytes = Segment(extent);
        file.Next(bytes);
        var descriptor = new ColumnDescriptor(file.Path, column.Layout);
        var frame = new ReservedColumn { Descriptor = descriptor, FrameBytes = bytes.Length, Segments = [bytes], Slices = [] };
        try
        {
            frame.Verify(column.Rows);
        }
        catch (TransferQueueException error)
        {
            throw file.Damaged(error.Message);
        }
        return new StoredColumn(column.Layout, column.Rows, extent.Extent, extent.Unit, frame.Sizes);
    }

    /// <summary>Lets columns go bit by bit; nobody points to them any more. See <see cref="FreeSome"/>.</summary>
    /// <param name="steps">Yields after each bit, with what it took.</param>
    /// <param name="released">Where the steps put columns that lost their last cell.</param>
    internal void CommitAbandon(IEnumerable<int> steps, List<StoredColumn> released) => _abandoned.Enqueue((steps.GetEnumerator(), released));
}

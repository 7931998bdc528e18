using TransferQueue.Columns;

namespace TransferQueue.Control;

internal sealed partial class Controller
{
    /// <summary>Finds rows that must all be there, each at most once.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="error">Makes the error for a row that is not there.</param>
    /// <param name="withoutPartition">Rows of a partition that is not there are no error; their part has none.</param>
    private PlannedRows[] FindExactly(RowSelection rows, Func<MissingRow, Exception> error, bool withoutPartition = false)
    {
        HashSet<long> seen = new(rows.Rows);
        var parts = new PlannedRows[rows.Parts.Length];
        int row = 0;
        for (int p = 0; p < parts.Length; p++)
        {
            PartitionRun part = rows.Parts[p];
            parts[p] = withoutPartition && Find(part.Partition) is null
                ? new PlannedRows(part.Partition, null, [], row)
                : FindPart(rows, p, row, error);
            row += part.Count;
        }
        foreach (long index in rows.Indexes)
        {
            if (!seen.Add(index))
                throw new InvalidArgumentException($"rows: the index {index} comes twice in one call; indexes must be distinct");
        }
        return parts;
    }

    private PlannedRows FindPart(RowSelection rows, int part, int first, Func<MissingRow, Exception> error)
    {
        Partition? partition = Find(rows.Parts[part].Partition);
        int[] slots = new int[rows.Parts[part].Count];
        for (int i = 0; i < slots.Length; i++)
        {
            slots[i] = FindSlot(partition, rows.Indexes[first + i], rows.Generation(first + i));
            if (slots[i] < 0)
                throw error(new MissingRow(this, rows, part, first + i));
        }
        return new PlannedRows(rows.Parts[part].Partition, partition, slots, first);
    }

    /// <summary>The slot of an index in a partition, or −1: not there, elsewhere, or of another generation (0: any).</summary>
    private int FindSlot(Partition? partition, long index, uint generation)
    {
        var (home, slot) = _directory[index];
        return home is not null && ReferenceEquals(home, partition) && (generation == 0 || generation == _pool.Generation(index)) ? slot : -1;
    }

    /// <summary>A row of a request that is not there.</summary>
    private readonly record struct MissingRow(Controller Controller, RowSelection Rows, int Part, int Row)
    {
        private string Partition => Rows.Parts[Part].Partition;

        private long Index => Rows.Indexes[Row];

        /// <summary>The error of a call that must not meet cleared rows at all.</summary>
        public StaleBatchException Stale(string what) => new(
            $"partition '{Partition}': {what} of row {Index} (row {Row} of {Rows.Rows} in the call), {Reason()}; ask for its metadata again");

        /// <summary>Stale if the batch knew its generation, else simply not found.</summary>
        public TransferQueueException Error(string what) => Rows.Generation(Row) != 0
            ? Stale(what)
            : new StorageKeyNotFoundException($"partition '{Partition}': {what} of row {Index} (row {Row} of {Rows.Rows} in the call), {Reason()}");

        private string Reason()
        {
            if (Controller.Find(Partition) is null)
                return "but there is no such partition";
            uint now = Controller._pool.Generation(Index), asked = Rows.Generation(Row);
            return asked != 0 && now != asked
                ? $"which was cleared since the batch was made (generation {asked}, now {now})"
                : "which is not in the partition";
        }
    }
}

using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>The rows of a get, found, and where their columns lie.</summary>
/// <param name="Rows">Rows.</param>
/// <param name="Columns">The columns, sorted by name.</param>
internal sealed record ReadPlan(int Rows, ImmutableArray<ColumnRuns> Columns);

internal sealed partial class Controller
{
    /// <summary>Segments of row maps looked up by reads so far: a test holds it against rows and runs.</summary>
    public long SegmentsVisited { get; private set; }

    /// <summary>Of them, those that a map had to be searched for: fields that were put together are searched once.</summary>
    public long SegmentSearches { get; private set; }

    /// <summary>Words of bitmaps that scans of the partitions that there are have looked at; a word is 64 slots.</summary>
    public long VisitedWords => _partitions.Values.Sum(partition => partition.VisitedWords);

    /// <summary>Finds the columns of rows by key: unknown keys are left out, repetition is allowed.</summary>
    /// <param name="name">The partition.</param>
    /// <param name="keys">The keys, in the order wanted.</param>
    /// <param name="fields">The fields wanted, unknown names are ignored; default: those that all rows have.</param>
    /// <exception cref="InvalidArgumentException">No key is known, a field is not ready in a row, or there is no common field.</exception>
    public ReadPlan PlanReadKeys(string name, ImmutableArray<string> keys, ImmutableArray<string> fields)
    {
        Partition? partition = Find(name);
        int[] slots = partition is null ? [] : KnownSlots(partition, keys);
        if (slots.Length == 0)
            throw new InvalidArgumentException($"partition '{name}': keys or partition were not found! None of the {keys.Length} keys asked for is there");
        FoundRows[] rows = [new(partition!, slots, 0)];
        List<SlotRun> runs = SlotRun.Of(slots);
        if (fields.IsDefault)
        {
            string[] common = ReadyFields(rows[0]);
            if (common.Length == 0)
                throw NotReadyInAll(partition!, runs, []);
            return Plan(rows, slots.Length, common);
        }
        string[] known = fields is [string one] ? partition!.Field(one) is null ? [] : [one]
            : [.. fields.Distinct().Where(field => partition!.Field(field) is not null)];
        foreach (string field in known)
        {
            if (!partition!.Field(field)!.IsReady(runs, partition.RowCount))
                throw NotReadyInAll(partition, runs, [.. known.Where(one => !partition.Field(one)!.IsReady(runs, partition.RowCount))]);
        }
        return Plan(rows, slots.Length, known);
    }

    /// <summary>The slots of the keys that there are, in their order.</summary>
    private static int[] KnownSlots(Partition partition, ImmutableArray<string> keys)
    {
        int[] slots = partition.SlotsOf(keys);
        return slots.Contains(-1) ? Array.FindAll(slots, slot => slot >= 0) : slots;
    }

    /// <summary>Finds the columns of rows by index, repetition allowed; every cell must be there.</summary>
    /// <param name="selection">The rows, in the order wanted.</param>
    /// <param name="fields">The fields wanted; default: those that all rows have.</param>
    /// <exception cref="StaleBatchException">A row was cleared since its generation was learned.</exception>
    /// <exception cref="StorageKeyNotFoundException">A row or a cell is not there.</exception>
    public ReadPlan PlanReadRows(RowSelection selection, ImmutableArray<string> fields)
    {
        var rows = new FoundRows[selection.Parts.Length];
        int row = 0;
        for (int p = 0; p < rows.Length; p++)
        {
            PlannedRows part = FindPart(selection, p, row, missing => missing.Error("get"));
            rows[p] = new FoundRows(part.Partition!, part.Slots, row);
            row += part.Slots.Length;
        }
        if (fields.IsDefault)
            return Plan(rows, row, CommonFields(rows));
        string[] wanted = [.. fields.Distinct()];
        foreach (FoundRows part in rows)
            CheckCells(part, wanted);
        return Plan(rows, row, wanted);
    }

    /// <summary>The fields that all rows have, sorted.</summary>
    public static string[] CommonFields(IReadOnlyList<FoundRows> rows)
    {
        if (rows is [{ Slots.Length: > 0 } only])
            return ReadyFields(only);
        if (rows.Sum(part => part.Slots.Length) == 0)
            return [];
        HashSet<string>? common = null;
        foreach (FoundRows part in rows)
        {
            List<SlotRun> runs = SlotRun.Of(part.Slots);
            var own = part.Partition.Fields.Where(field => (common is null || common.Contains(field.Name)) && field.IsReady(runs, part.Partition.RowCount));
            common = [.. own.Select(field => field.Name)];
        }
        string[] sorted = [.. common!];
        Array.Sort(sorted, CodePointOrder.Instance);
        return sorted;
    }

    private static string[] ReadyFields(FoundRows rows)
    {
        List<SlotRun> runs = SlotRun.Of(rows.Slots);
        var fields = rows.Partition.AllFields;
        string[] common = new string[fields.Count];
        int count = 0;
        foreach (FieldState field in fields)
        {
            if (field.IsReady(runs, rows.Partition.RowCount))
                common[count++] = field.Name;
        }
        Array.Resize(ref common, count);
        Array.Sort(common, CodePointOrder.Instance);
        return common;
    }

    private ReadPlan Plan(FoundRows[] rows, int count, string[] fields)
    {
        Array.Sort(fields, CodePointOrder.Instance);
        var columns = ImmutableArray.CreateBuilder<ColumnRuns>(fields.Length);
        RunCollector collector = new(rows);
        foreach (string name in fields)
        {
            ColumnRun[] runs = collector.Collect(name);
            CheckTypes(name, runs);
            columns.Add(new ColumnRuns(name, runs.Length == 0 ? DType.None : runs[0].Column.Layout.DType, runs));
        }
        SegmentsVisited += collector.SegmentsVisited;
        SegmentSearches += collector.Searches;
        return new ReadPlan(count, columns.MoveToImmutable());
    }

    /// <summary>Within a partition a field has one element type; over several it may not.</summary>
    private static void CheckTypes(string name, ColumnRun[] runs)
    {
        foreach (ColumnRun run in runs)
        {
            if (run.Column.Layout.DType != runs[0].Column.Layout.DType)
                throw new SchemaMismatchException(
                    $"field '{name}': {Describe(runs[0].Column.Layout.DType)} in one partition, {Describe(run.Column.Layout.DType)} in another; "
                    + "get them one partition at a time");
        }
    }

    private static void CheckCells(FoundRows part, string[] fields)
    {
        List<SlotRun> runs = SlotRun.Of(part.Slots);
        foreach (string name in fields)
        {
            FieldState? field = part.Partition.Field(name);
            if (field is not null && field.IsReady(runs, part.Partition.RowCount))
                continue;
            for (int i = 0; i < part.Slots.Length; i++)
            {
                if (field is null || !field.Ready[part.Slots[i]])
                    throw new StorageKeyNotFoundException(
                        $"partition '{part.Partition.Name}': the field '{name}' of row {part.Partition.Index(part.Slots[i])} is not there; "
                        + $"the partition has {Names(part.Partition)}");
            }
        }
    }

    private static InvalidArgumentException NotReadyInAll(Partition partition, List<SlotRun> runs, string[] lacking)
    {
        int rows = runs.Sum(run => run.Count);
        string detail = lacking.Length == 0
            ? $"they have no field in common; the partition has {Names(partition)}"
            : string.Join(", ", lacking.Select(name =>
                $"{name}: {runs.Sum(run => partition.Field(name)!.Ready.CountRange(run.Start, run.Count))} of {rows}"));
        return new InvalidArgumentException($"partition '{partition.Name}': Some fields are not ready in all the requested keys! ({detail})");
    }

    private static string Names(Partition partition)
    {
        string[] names = [.. partition.Fields.Select(field => field.Name).Order(CodePointOrder.Instance)];
        return names.Length == 0 ? "no fields" : string.Join(", ", names);
    }
}

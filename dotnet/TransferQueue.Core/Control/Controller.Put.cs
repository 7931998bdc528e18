using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Control;

internal sealed partial class Controller
{
    /// <summary>Checks a put completely and finds its rows; changes nothing.</summary>
    /// <exception cref="InvalidArgumentException">No columns and no tags, no rows by key, duplicates, lengths that disagree.</exception>
    /// <exception cref="SchemaMismatchException">A column's element type contradicts the field's.</exception>
    /// <exception cref="StaleBatchException">A row by index is not there, or not in its partition, or of another generation.</exception>
    public PutPlan PlanPut(PutSpec spec)
    {
        CheckShape(spec);
        PlannedRows[] parts = PlanRows(spec.Rows);
        int gained = 0;
        foreach (PlannedRows part in parts)
        {
            if (part.Partition is { } partition)
                CheckSchema(partition, spec);
            if (spec.Columns.IsEmpty)
                continue;
            foreach (int slot in part.Slots)
                gained += slot < 0 || !part.Partition!.Stored[slot] ? 1 : 0;
        }
        return new PutPlan(spec, parts, gained);
    }

    /// <summary>Makes rows, keys, cells and tags of a put visible, all at once.</summary>
    /// <param name="plan">Made by <see cref="PlanPut"/> since the last change.</param>
    /// <param name="released">Gets the columns that nobody points to any more.</param>
    internal FoundRows[] CommitPut(PutPlan plan, List<StoredColumn> released)
    {
        FoundRows[] rows = CommitRows(plan.Parts, plan.Spec.Rows);
        if (!plan.Spec.Columns.IsEmpty)
            CommitColumns(rows, plan.Spec.Columns, released);
        foreach (FoundRows part in rows)
            CommitTags(part, plan.Spec.Tags, replace: false);
        return rows;
    }

    private static void CommitColumns(FoundRows[] rows, ImmutableArray<PutColumn> columns, List<StoredColumn> released)
    {
        var blocks = new BlockSlice[columns.Length][];
        for (int i = 0; i < blocks.Length; i++)
            blocks[i] = Blocks(columns[i]);
        foreach (FoundRows part in rows)
        {
            List<SlotRun> runs = SlotRun.Of(part.Slots, part.First);
            for (int i = 0; i < blocks.Length; i++)
                part.Partition.AssignColumn(columns[i].Name, blocks[i], runs, released);
            part.Partition.MarkStored(runs);
        }
        foreach (BlockSlice[] slices in blocks)
        {
            foreach (BlockSlice slice in slices)
            {
                if (slice.Block.LiveCells == 0)
                    released.Add(slice.Block.Column); // a column of no rows
            }
        }
    }

    /// <summary>Checks that rows can be made; changes nothing.</summary>
    public PlannedRows[] PlanRows(RowsRef rows)
    {
        if (rows.Selection is { } selection)
            return FindExactly(selection, missing => missing.Stale("put"));
        if (rows.Keys.IsDefault)
            return [new PlannedRows(rows.Parts[0].Partition, Find(rows.Parts[0].Partition), Unknown(rows.Count), 0)];
        return [PlanKeys(rows.Parts[0].Partition, rows.Keys)];
    }

    /// <summary>Makes the rows of a plan that do not exist yet.</summary>
    internal FoundRows[] CommitRows(PlannedRows[] parts, RowsRef rows)
    {
        var found = new FoundRows[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            PlannedRows part = parts[i];
            Partition partition = part.Partition ?? FindOrCreate(part.Name);
            CreateMissing(partition, part.Slots, rows);
            found[i] = new FoundRows(partition, part.Slots, part.First);
        }
        return found;
    }

    /// <summary>Checks a change of tags; changes nothing. Rows of partitions that are not there are left out.</summary>
    /// <exception cref="StaleBatchException">A row is not there in the generation asked for.</exception>
    /// <exception cref="StorageKeyNotFoundException">A row is not there, and no generation was asked for.</exception>
    public PlannedRows[] PlanTags(RowSelection rows, PackedTags tags)
    {
        if (tags.Rows != rows.Rows)
            throw new InvalidArgumentException($"tags: {tags.Rows} tags for {rows.Rows} rows; give one per row");
        return Array.FindAll(FindExactly(rows, missing => missing.Error("tags"), withoutPartition: true), part => part.Partition is not null);
    }

    /// <summary>Merges tags into the rows', or puts them in their place.</summary>
    internal void CommitTags(PlannedRows[] parts, PackedTags tags, bool replace)
    {
        foreach (PlannedRows part in parts)
            CommitTags(new FoundRows(part.Partition!, part.Slots, part.First), tags, replace);
    }

    private static void CommitTags(FoundRows part, PackedTags? tags, bool replace)
    {
        for (int i = 0; tags is not null && i < part.Slots.Length; i++)
            part.Partition.SetTag(part.Slots[i], tags[part.First + i], replace);
    }

    private static void CheckShape(PutSpec spec)
    {
        int rows = spec.Rows.Count;
        string partition = spec.Rows.Parts.IsEmpty ? "" : spec.Rows.Parts[0].Partition;
        if (spec.Columns.IsEmpty && spec.Tags is null)
            throw new InvalidArgumentException($"partition '{partition}': a put of {rows} rows with neither columns nor tags; give one of them");
        if (!spec.Rows.Keys.IsDefault && rows == 0)
            throw new InvalidArgumentException($"partition '{partition}': a put of no keys; give at least one");
        if (spec.Tags is { } tags && tags.Rows != rows)
            throw new InvalidArgumentException($"partition '{partition}': {tags.Rows} tags for {rows} rows; give one per row");
        HashSet<string>? names = spec.Columns.Length > 1 ? new(spec.Columns.Length) : null;
        foreach (PutColumn column in spec.Columns)
        {
            if (names?.Add(column.Name) == false)
                throw new InvalidArgumentException($"partition '{partition}': the field '{column.Name}' comes twice in one put");
            long there = 0;
            foreach (StoredColumn slice in column.Slices)
                there += slice.Rows;
            if (there != rows)
                throw new InvalidArgumentException($"partition '{partition}': the field '{column.Name}' has {there} rows, the put {rows}");
        }
    }

    private static void CheckSchema(Partition partition, PutSpec spec)
    {
        foreach (PutColumn column in spec.Columns)
        {
            if (partition.Field(column.Name)?.DType is not { } dtype || dtype == column.Layout.DType)
                continue;
            throw new SchemaMismatchException(
                $"partition '{partition.Name}': the field '{column.Name}' holds {Describe(dtype)}, the put brings {Describe(column.Layout.DType)}; "
                + "convert it, use another field, or clear the rows that hold the old type");
        }
    }

    private static string Describe(DType dtype) => dtype == DType.None ? "text or objects" : dtype.ToString().ToLowerInvariant();

    private PlannedRows PlanKeys(string name, ImmutableArray<string> keys)
    {
        Partition? partition = Find(name);
        int[] slots = partition?.SlotsOf(keys) ?? Unknown(keys.Length);
        if (slots.Length > 1 && KeyIndex.FirstRepeated(keys.AsSpan()) is var repeated and >= 0)
            throw new InvalidArgumentException($"partition '{name}': the key '{keys[repeated]}' comes twice in one call; keys must be distinct");
        return new PlannedRows(name, partition, slots, 0);
    }

    private static void CreateMissing(Partition partition, int[] slots, RowsRef rows)
    {
        int missing = 0;
        foreach (int slot in slots)
            missing += slot < 0 ? 1 : 0;
        if (missing == 0)
            return;
        int[] created = new int[missing];
        partition.CreateRows(created);
        if (!rows.Keys.IsDefault)
            partition.ExpectKeys(missing);
        int next = 0;
        for (int i = 0; i < slots.Length; i++)
        {
            if (slots[i] >= 0)
                continue;
            slots[i] = created[next++];
            if (!rows.Keys.IsDefault)
                partition.SetKey(slots[i], rows.Keys[i]);
        }
    }

    private static BlockSlice[] Blocks(PutColumn column)
    {
        var slices = new BlockSlice[column.Slices.Length];
        int row = 0;
        for (int i = 0; i < slices.Length; i++)
        {
            slices[i] = new BlockSlice(new ColumnBlock(column.Slices[i]), row);
            row += column.Slices[i].Rows;
        }
        return slices;
    }

    private static int[] Unknown(int count)
    {
        int[] slots = new int[count];
        slots.AsSpan().Fill(-1);
        return slots;
    }
}

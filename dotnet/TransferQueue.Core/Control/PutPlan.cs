using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>A column that a put brings.</summary>
/// <param name="Name">The field.</param>
/// <param name="Layout">How its rows lie.</param>
/// <param name="Slices">Where they lie, in order; together as many rows as the put.</param>
internal sealed record PutColumn(string Name, ColumnLayout Layout, ImmutableArray<StoredColumn> Slices);

/// <summary>What a put is to do.</summary>
/// <param name="Rows">The rows: known, by key, or new.</param>
/// <param name="Tags">Entries that merge into the rows' tags; null: none.</param>
/// <param name="Columns">The columns; may be none.</param>
internal sealed record PutSpec(RowsRef Rows, PackedTags? Tags, ImmutableArray<PutColumn> Columns);

/// <summary>Rows of a request that lie in one partition, found.</summary>
/// <param name="Name">The partition's name.</param>
/// <param name="Partition">It, or null if it is to be created.</param>
/// <param name="Slots">The rows' slots, −1: to be created.</param>
/// <param name="First">The request's row that is the first of them.</param>
internal sealed record PlannedRows(string Name, Partition? Partition, int[] Slots, int First);

/// <summary>A put whose every check has passed.</summary>
/// <param name="Spec">What it does.</param>
/// <param name="Parts">Where.</param>
/// <param name="RowsGained">Rows that have no cell yet and will have one.</param>
internal sealed record PutPlan(PutSpec Spec, PlannedRows[] Parts, int RowsGained);

/// <summary>Rows that exist.</summary>
/// <param name="Partition">Their partition.</param>
/// <param name="Slots">Their slots, in the request's order.</param>
/// <param name="First">The request's row that is the first of them.</param>
internal sealed record FoundRows(Partition Partition, int[] Slots, int First);

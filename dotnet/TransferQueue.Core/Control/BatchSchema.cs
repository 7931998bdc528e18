using System.Collections.Immutable;
using System.Runtime.InteropServices;
using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>What the rows of one field of one batch have in common, from the blocks that they lie in: O(runs), and O(B) for a nested field.</summary>
internal static class BatchSchema
{
    /// <summary>The length of a row of which nothing is known.</summary>
    private const int Unknown = -1;

    /// <summary>Makes the schema of the field <paramref name="name"/> from its cells.</summary>
    /// <remarks>
    /// A field is nested if a row of it was put as nested, or if two rows' shapes differ; so it is dense again for a batch without
    /// the odd rows.
    /// </remarks>
    public static FieldSchema Of(string name, SchemaRuns runs)
    {
        if (runs.DType is not { } dtype)
            return FieldSchema.Unknown(name);
        if (dtype == DType.None)
            return new FieldSchema(name, dtype, [], false, true);
        ImmutableArray<long> shape = Merge(runs, out bool nested);
        FieldSchema schema = new(name, dtype, shape, nested, false);
        return nested ? schema with { Sizes = Sizes(schema, runs) } : schema;
    }

    private static ImmutableArray<long> Merge(SchemaRuns runs, out bool nested)
    {
        ImmutableArray<long> shape = default;
        ColumnLayout? last = null;
        nested = false;
        foreach (var (run, _) in runs.Runs)
        {
            if (run?.Column.Layout is not { } layout || (last is { } same && same.Equals(layout)))
                continue;
            last = layout;
            nested |= layout.Kind != ColumnKind.Dense;
            ImmutableArray<long> merged = shape.IsDefault ? layout.Shape : Merge(shape, layout.Shape);
            nested |= !merged.AsSpan().SequenceEqual(layout.Shape.AsSpan());
            shape = merged;
        }
        return shape;
    }

    /// <summary>Dimensions that agree stay, others become −1; rows of different ranks agree in nothing.</summary>
    private static ImmutableArray<long> Merge(ImmutableArray<long> a, ImmutableArray<long> b)
    {
        if (a.AsSpan().SequenceEqual(b.AsSpan()))
            return a;
        var merged = new long[Math.Max(a.Length, b.Length)];
        for (int i = 0; i < merged.Length; i++)
            merged[i] = a.Length == b.Length && a[i] == b[i] ? a[i] : -1;
        return ImmutableCollectionsMarshal.AsImmutableArray(merged);
    }

    private static ImmutableArray<int> Sizes(FieldSchema schema, SchemaRuns runs)
    {
        int width = schema.SizesPerRow;
        var sizes = new int[(long)runs.Rows * width];
        int row = 0;
        foreach (var (run, count) in runs.Runs)
        {
            Span<int> part = sizes.AsSpan(row * width, count * width);
            if (run is not { } cells)
                part.Fill(Unknown);
            else if (schema.RaggedDimensions == 1)
                FillLengths(cells, schema.RaggedDimension, part);
            else
                FillShapes(cells, width, part);
            row += count;
        }
        return ImmutableCollectionsMarshal.AsImmutableArray(sizes);
    }

    private static void FillLengths(ColumnRun run, int dimension, Span<int> lengths)
    {
        ColumnLayout layout = run.Column.Layout;
        switch (layout.Kind)
        {
            case ColumnKind.Dense when dimension >= layout.Rank:
                lengths.Fill(Unknown);
                break;
            case ColumnKind.Dense:
                lengths.Fill(checked((int)layout.Shape[dimension]));
                break;
            case ColumnKind.Jagged:
                run.Column.Sizes.AsSpan(run.First, run.Count).CopyTo(lengths);
                break;
            default:
                for (int i = 0; i < lengths.Length; i++)
                    lengths[i] = run.Column.Sizes![(run.First + i) * layout.Rank + dimension];
                break;
        }
    }

    private static void FillShapes(ColumnRun run, int width, Span<int> shapes)
    {
        ColumnLayout layout = run.Column.Layout;
        for (int i = 0; i < run.Count; i++)
        {
            Span<int> shape = shapes.Slice(i * width, width);
            shape.Fill(Unknown);
            for (int d = 0; d < layout.Rank; d++)
                shape[d] = Extent(run, layout, run.First + i, d);
        }
    }

    private static int Extent(ColumnRun run, in ColumnLayout layout, int row, int dimension) => layout.Kind switch
    {
        ColumnKind.Ragged => run.Column.Sizes![row * layout.Rank + dimension],
        ColumnKind.Jagged when layout.Shape[dimension] < 0 => run.Column.Sizes![row],
        _ => checked((int)layout.Shape[dimension]),
    };
}

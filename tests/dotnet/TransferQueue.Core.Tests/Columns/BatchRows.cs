using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;

namespace TransferQueue.Tests.Columns;

/// <summary>The slow, plain model of a batch: a list of rows, each with everything it has.</summary>
internal static class BatchRows
{
    private static readonly (string Name, DType DType)[] KnownFields =
        [("a", DType.Float32), ("b", DType.Int64), ("text", DType.None), ("é", DType.Bool)];

    /// <summary>Says one row as text: what a batch of any form holds of it.</summary>
    internal static List<string> Of(BatchMeta batch)
    {
        var partitions = batch.Partitions.SelectMany(run => Enumerable.Repeat(run.Partition, run.Count)).ToList();
        return [.. Enumerable.Range(0, batch.Size).Select(row => string.Join(
            " | ",
            [
                $"{batch.GlobalIndexes[row]}", $"{(batch.Generations.IsDefault ? 0 : batch.Generations[row])}", partitions[row],
                $"{batch.ProductionStatus[row]}", batch.Tags is null ? "80" : Convert.ToHexString(batch.Tags[row].Span),
                .. batch.Fields.Select(field => $"{field.Name}: {field.DType} {Shape(field, row)}"),
            ]))];
    }

    /// <summary>The shape of a row; "unknown" where the schema does not say.</summary>
    internal static string Shape(FieldSchema field, int row)
    {
        if (field.Shape.IsDefault)
            return "unknown";
        var shape = new int[field.Rank];
        field.CopyRowShapeTo(row, shape);
        return $"[{string.Join(", ", shape.TakeWhile(extent => extent >= 0))}]";
    }

    /// <summary>Batches of 0 to 40 rows in up to three partitions, with the fields given or some of them.</summary>
    internal static Gen<BatchMeta> Generator(bool allFields = false) =>
        from size in Gen.Choose(0, 40)
        from count in allFields ? Gen.Constant(KnownFields.Length) : Gen.Choose(0, KnownFields.Length)
        from batch in OfSize(size, count)
        select batch;

    /// <summary>Batches with the same rows as <paramref name="batch"/> and other fields, statuses and tags.</summary>
    internal static Gen<BatchMeta> SameRows(BatchMeta batch) =>
        from other in OfSize(batch.Size, 2)
        select BatchMeta.Create(batch.GlobalIndexes, batch.Partitions, other.Fields, other.ProductionStatus, batch.Generations, other.Tags);

    private static Gen<BatchMeta> OfSize(int size, int fieldCount) =>
        from indexes in Gen.ListOf(Gen.Choose(0, 1000), size)
        from checkedRows in Gen.Elements(true, false)
        from generations in Gen.ListOf(Gen.Choose(0, 3), size)
        from partitions in Gen.ListOf(Gen.Elements("p", "q", "r"), size)
        from ready in Gen.ListOf(Gen.Choose(0, 3), size)
        from tagged in Gen.Elements(true, false)
        from tags in Gen.ListOf(TagCodecTests.TagGen, size)
        from fields in Gen.CollectToList(KnownFields[..fieldCount], known => Field(known.Name, known.DType, size))
        select BatchMeta.Create(
            [.. indexes.Select(index => (long)index)], [.. partitions.Select(name => new PartitionRun(name, 1))], [.. fields],
            [.. ready.Select(roll => (sbyte)(roll > 0 ? 1 : 0))], checkedRows ? [.. generations.Select(n => (uint)n)] : default,
            tagged ? PackedTags.Parse(tags.SelectMany(TagCodecTests.Pack).ToArray(), size) : null);

    private static Gen<FieldSchema> Field(string name, DType dtype, int rows)
    {
        if (dtype == DType.None)
            return Gen.Constant(new FieldSchema(name, dtype, [], false, true));
        var uniform = from shape in Gen.ListOf(Gen.Choose(0, 3))
                      select new FieldSchema(name, dtype, [.. shape.Take(3).Select(extent => (long)extent)], false, false);
        var jagged = from sizes in Gen.ListOf(Gen.Choose(0, 9), rows)
                     from first in Gen.Elements(true, false)
                     select new FieldSchema(name, dtype, first ? [-1, 2] : [2, -1], true, false, [.. sizes]);
        var ragged = from shapes in Gen.ListOf(Gen.Elements<int[]>([1, 2, 3], [4, 5, -1], [6, -1, -1], [-1, -1, -1]), rows)
                     select new FieldSchema(name, dtype, [-1, -1, -1], true, false, [.. shapes.SelectMany(shape => shape)]);
        return Gen.OneOf(uniform, jagged, ragged);
    }
}

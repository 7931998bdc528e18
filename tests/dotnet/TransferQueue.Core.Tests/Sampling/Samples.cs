using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using MessagePack;
using TransferQueue.Sampling;

namespace TransferQueue.Tests.Sampling;

/// <summary>Asks samplers as Control does, and keeps the batches that they fix.</summary>
internal sealed class Samples(ISampler sampler)
{
    public SampleCache Cache { get; } = new();

    /// <summary>The tags of rows, JSON; other rows have none.</summary>
    public Dictionary<long, string> Tags { get; } = [];

    public SampleResult Ask(long[] ready, int batchSize, string? sampling = null, string task = "actor")
    {
        ReadOnlyMemory<byte> told = sampling is null ? default : MessagePackSerializer.ConvertFromJson(sampling);
        sampler.Check(batchSize, told);
        SampleResult result = sampler.Sample(new SampleRequest(ready, batchSize, task, TagOf, told, Cache));
        foreach (CachedBatch batch in result.Fixed)
            Cache.Set(batch);
        return result;
    }

    public bool HasResult(string sampling, string task = "actor") =>
        sampler.HasResult(new SampleRequest([], 1, task, TagOf, MessagePackSerializer.ConvertFromJson(sampling), Cache));

    public static string Rank(long rank, long batch) => $$"""{"dp_rank": {{rank}}, "batch_index": {{batch}}}""";

    /// <summary>Ascending rows with gaps.</summary>
    public static Gen<long[]> ReadyGen { get; } =
        from steps in Gen.ListOf(Gen.Frequency((5, Gen.Constant(1L)), (1, Gen.Choose(2, 4).Select(step => (long)step))))
        select steps.Aggregate(ImmutableList.Create(0L), (rows, step) => rows.Add(rows[^1] + step)).ToArray();

    private ReadOnlyMemory<byte> TagOf(long row) => Tags.TryGetValue(row, out string? tag) ? MessagePackSerializer.ConvertFromJson(tag) : new byte[] { 0x80 };
}

using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;

namespace TransferQueue.Sampling;

/// <summary>
/// Whole groups, divided among the data-parallel ranks so that each has as many groups and about as many tokens. Whoever asks
/// first fixes the shares of all ranks; a share's rows are kept for its rank until that has taken them.
/// </summary>
internal sealed class SeqlenBalancedSampler : ISampler
{
    private readonly int _rowsPerGroup;
    private readonly int _ranks;

    /// <summary>Makes one.</summary>
    /// <param name="rowsPerGroup">Responses to a prompt, ≥ 1.</param>
    /// <param name="ranks">Data-parallel ranks, ≥ 1.</param>
    /// <exception cref="InvalidArgumentException">One is less than 1.</exception>
    internal SeqlenBalancedSampler(int rowsPerGroup = 1, int ranks = 1)
    {
        if (rowsPerGroup < 1)
            throw new InvalidArgumentException($"sampler {Name}: n_samples_per_prompt is {rowsPerGroup}; it must be 1 or more");
        if (ranks < 1)
            throw new InvalidArgumentException($"sampler {Name}: dp_size is {ranks}; it must be 1 or more");
        (_rowsPerGroup, _ranks) = (rowsPerGroup, ranks);
    }

    /// <inheritdoc/>
    public string Name => "SeqlenBalancedSampler";

    /// <inheritdoc/>
    public string Needs => $"whole groups of {_rowsPerGroup} rows with consecutive indexes, the batches of all {_ranks} ranks at once";

    /// <inheritdoc/>
    public int ReadyWanted(int batchSize) => int.MaxValue;

    /// <inheritdoc/>
    public void Check(int batchSize, ReadOnlyMemory<byte> sampling)
    {
        SamplingArguments arguments = SamplingArguments.Read(Name, sampling);
        arguments.Require(Name);
        if (arguments.Rank >= _ranks)
            throw new InvalidArgumentException($"sampler {Name}: sampling_config: dp_rank is {arguments.Rank}; dp_size is {_ranks}, so it must be 0 to {_ranks - 1}");
        GRPOGroupNSampler.CheckSize(Name, batchSize, _rowsPerGroup);
    }

    /// <inheritdoc/>
    public bool HasResult(in SampleRequest request) => request.Fixed(SamplingArguments.Read(Name, request.Sampling)) is not null;

    /// <inheritdoc/>
    public SampleResult Sample(in SampleRequest request)
    {
        BatchKey key = SamplingArguments.Read(Name, request.Sampling).Key(request.Task)!.Value;
        if (request.Cache.Find(key) is { } batch)
            return SampleResult.Of(batch);
        long groups = (long)(request.BatchSize / _rowsPerGroup) * _ranks;
        ImmutableArray<long> rows = groups > request.Ready.Length ? default : RowGroups.Find(request.Ready, (int)groups, _rowsPerGroup);
        if (rows.IsDefault)
            return SampleResult.None;
        ImmutableArray<long>[] shares = Divide(rows, request.TagOf);
        ImmutableArray<CachedBatch> all = [.. shares.Select((share, rank) => new CachedBatch(key with { Rank = rank }, share, rank == key.Rank))];
        ImmutableArray<long> own = shares[key.Rank];
        return new SampleResult(own, own, all);
    }

    private ImmutableArray<long>[] Divide(ImmutableArray<long> rows, Func<long, ReadOnlyMemory<byte>> tagOf)
    {
        double[] weights = new double[rows.Length / _rowsPerGroup];
        for (int i = 0; i < rows.Length; i++)
            weights[i / _rowsPerGroup] += Length(rows[i], tagOf(rows[i]));
        int[][] shares = KarmarkarKarp.DivideEvenly(weights, _ranks);
        return [.. shares.Select(share => share.SelectMany(group => rows.AsSpan(group * _rowsPerGroup, _rowsPerGroup).ToArray()).ToImmutableArray())];
    }

    /// <summary>The tag's total_lengths, in tokens; 1 without one.</summary>
    private double Length(long row, ReadOnlyMemory<byte> tag)
    {
        if (tag.IsEmpty || !TagCodec.TryFind(tag.Span, "total_lengths"u8, out ReadOnlySpan<byte> value))
            return 1;
        var reader = new MessagePackReader(value.ToArray());
        return reader.NextMessagePackType switch
        {
            MessagePackType.Nil => 1,
            MessagePackType.Integer or MessagePackType.Float => reader.ReadDouble(),
            var other => throw new InvalidArgumentException($"sampler {Name}: row {row}: its tag's total_lengths is of type {other}; give a number of tokens"),
        };
    }
}

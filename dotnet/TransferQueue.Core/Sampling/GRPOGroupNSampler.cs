using System.Collections.Immutable;

namespace TransferQueue.Sampling;

/// <summary>
/// Whole groups of rows with consecutive global indexes, for algorithms that compare the responses to one prompt (GRPO,
/// arXiv:2402.03300). Where the caller says dp_rank and batch_index, the batch is fixed for them.
/// </summary>
internal sealed class GRPOGroupNSampler : ISampler
{
    private readonly int _rowsPerGroup;

    /// <summary>Makes one.</summary>
    /// <param name="rowsPerGroup">Responses to a prompt, ≥ 1.</param>
    /// <exception cref="InvalidArgumentException">It is less than 1.</exception>
    internal GRPOGroupNSampler(int rowsPerGroup = 1) => _rowsPerGroup = rowsPerGroup >= 1
        ? rowsPerGroup
        : throw new InvalidArgumentException($"sampler {Name}: n_samples_per_prompt is {rowsPerGroup}; it must be 1 or more");

    /// <inheritdoc/>
    public string Name => "GRPOGroupNSampler";

    /// <inheritdoc/>
    public string Needs => $"whole groups of {_rowsPerGroup} rows with consecutive indexes";

    /// <inheritdoc/>
    public int ReadyWanted(int batchSize) => int.MaxValue;

    /// <inheritdoc/>
    public void Check(int batchSize, ReadOnlyMemory<byte> sampling)
    {
        SamplingArguments.Read(Name, sampling);
        CheckSize(Name, batchSize, _rowsPerGroup);
    }

    /// <inheritdoc/>
    public bool HasResult(in SampleRequest request) => request.Fixed(SamplingArguments.Read(Name, request.Sampling)) is not null;

    /// <inheritdoc/>
    public SampleResult Sample(in SampleRequest request)
    {
        SamplingArguments arguments = SamplingArguments.Read(Name, request.Sampling);
        if (request.Fixed(arguments) is { } batch)
            return SampleResult.Of(batch);
        ImmutableArray<long> rows = RowGroups.Find(request.Ready, request.BatchSize / _rowsPerGroup, _rowsPerGroup);
        return rows.IsDefault ? SampleResult.None : SampleResult.Of(rows, arguments.Key(request.Task));
    }

    /// <summary>Refuses a batch that is no whole number of groups.</summary>
    internal static void CheckSize(string sampler, int batchSize, int rowsPerGroup)
    {
        if (batchSize % rowsPerGroup != 0)
            throw new InvalidArgumentException(
                $"sampler {sampler}: batch_size is {batchSize}, groups have {rowsPerGroup} rows; batch_size must be a multiple of n_samples_per_prompt");
    }
}

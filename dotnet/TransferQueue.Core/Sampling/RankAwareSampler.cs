namespace TransferQueue.Sampling;

/// <summary>
/// The first ready rows, the same for everybody of one data-parallel rank: whoever of it asks first fixes the batch, the others
/// (its tensor-parallel or pipeline-parallel siblings) get the same rows.
/// </summary>
internal sealed class RankAwareSampler : ISampler
{
    /// <inheritdoc/>
    public string Name => "RankAwareSampler";

    /// <inheritdoc/>
    public string Needs => "ready rows";

    /// <inheritdoc/>
    public int ReadyWanted(int batchSize) => batchSize;

    /// <inheritdoc/>
    public void Check(int batchSize, ReadOnlyMemory<byte> sampling) => SamplingArguments.Read(Name, sampling).Require(Name);

    /// <inheritdoc/>
    public bool HasResult(in SampleRequest request) => request.Fixed(SamplingArguments.Read(Name, request.Sampling)) is not null;

    /// <inheritdoc/>
    public SampleResult Sample(in SampleRequest request)
    {
        SamplingArguments arguments = SamplingArguments.Read(Name, request.Sampling);
        if (request.Fixed(arguments) is { } batch)
            return SampleResult.Of(batch);
        return request.Ready.Length < request.BatchSize ? SampleResult.None : SampleResult.Of([.. request.Ready[..request.BatchSize]], arguments.Key(request.Task));
    }
}

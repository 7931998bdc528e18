using System.Collections.Immutable;

namespace TransferQueue.Sampling;

/// <summary>The first ready rows, each once: the sampler of a queue that was told no other. It fixes no batches.</summary>
internal sealed class SequentialSampler : ISampler
{
    /// <inheritdoc/>
    public string Name => "SequentialSampler";

    /// <inheritdoc/>
    public string Needs => "ready rows";

    /// <inheritdoc/>
    public int ReadyWanted(int batchSize) => batchSize < 0 ? int.MaxValue : batchSize;

    /// <summary>Takes any request; it reads nothing of what the caller says.</summary>
    public void Check(int batchSize, ReadOnlyMemory<byte> sampling)
    {
    }

    /// <inheritdoc/>
    public bool HasResult(in SampleRequest request) => false;

    /// <summary>The first <see cref="SampleRequest.BatchSize"/> ready rows, or all; a negative size leaves out so many of the last, as Python slices.</summary>
    /// <inheritdoc/>
    public SampleResult Sample(in SampleRequest request)
    {
        int ready = request.Ready.Length;
        int count = request.BatchSize < 0 ? Math.Max(ready + request.BatchSize, 0) : Math.Min(request.BatchSize, ready);
        ImmutableArray<long> rows = [.. request.Ready[..count]];
        return SampleResult.Of(rows, null);
    }
}

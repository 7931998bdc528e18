using MessagePack;
using TransferQueue.Columns;

namespace TransferQueue.Sampling;

/// <summary>What a caller says about the batch that it wants.</summary>
/// <param name="Rank">dp_rank; null: not said.</param>
/// <param name="Index">batch_index; null: not said.</param>
internal readonly record struct SamplingArguments(long? Rank, long? Index)
{
    /// <summary>Reads them.</summary>
    /// <param name="sampler">Whose, for the error's text.</param>
    /// <param name="sampling">One packed map; empty: nothing is said. Other entries are ignored.</param>
    /// <exception cref="InvalidArgumentException">One is no integer, or the rank is negative.</exception>
    internal static SamplingArguments Read(string sampler, ReadOnlyMemory<byte> sampling)
    {
        if (sampling.IsEmpty)
            return default;
        long? rank = Integer(sampler, sampling, "dp_rank"u8, "dp_rank");
        if (rank < 0)
            throw new InvalidArgumentException($"sampler {sampler}: sampling_config: dp_rank is {rank}; it must be 0 or more");
        return new SamplingArguments(rank, Integer(sampler, sampling, "batch_index"u8, "batch_index"));
    }

    /// <summary>The key of the batch; null unless both are said.</summary>
    internal BatchKey? Key(string task) => Rank is { } rank && Index is { } index ? new BatchKey(task, rank, index) : null;

    /// <summary>Refuses a request that doesn't say both.</summary>
    internal void Require(string sampler)
    {
        if (Rank is null || Index is null)
            throw new InvalidArgumentException(
                $"sampler {sampler}: sampling_config has no {(Rank is null ? "dp_rank" : "batch_index")}; give get_meta a sampling_config with dp_rank and batch_index");
    }

    private static long? Integer(string sampler, ReadOnlyMemory<byte> sampling, ReadOnlySpan<byte> key, string name)
    {
        if (!TagCodec.TryFind(sampling.Span, key, out ReadOnlySpan<byte> value))
            return null;
        var reader = new MessagePackReader(value.ToArray());
        if (reader.TryReadNil())
            return null;
        if (reader.NextMessagePackType != MessagePackType.Integer)
            throw new InvalidArgumentException($"sampler {sampler}: sampling_config: {name} is of type {reader.NextMessagePackType}; give an int");
        return reader.ReadInt64();
    }
}

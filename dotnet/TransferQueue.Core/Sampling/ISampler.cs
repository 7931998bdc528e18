namespace TransferQueue.Sampling;

/// <summary>
/// Which of the ready rows a fetch gets: a function of the ready rows, their tags and the batches that were fixed before.
/// It keeps nothing itself, so one instance serves every partition and task, and a record of its result can be replayed.
/// </summary>
internal interface ISampler
{
    /// <summary>The name under which the configuration asks for it.</summary>
    string Name { get; }

    /// <summary>What it makes batches of, to be read behind "needs": for whom waits although rows are ready.</summary>
    string Needs { get; }

    /// <summary>
    /// How many of the first ready rows a request for <paramref name="batchSize"/> rows must see; with
    /// <see cref="int.MaxValue"/> all of them. The fewer, the earlier the scan for ready rows stops.
    /// </summary>
    int ReadyWanted(int batchSize);

    /// <summary>Refuses a request that can't be right, whatever is ready.</summary>
    /// <param name="batchSize">Rows wanted.</param>
    /// <param name="sampling">What the caller says to the sampler: one packed map; empty: nothing.</param>
    /// <exception cref="InvalidArgumentException">It can't be right for this sampler.</exception>
    void Check(int batchSize, ReadOnlyMemory<byte> sampling);

    /// <summary>Whether the batch was fixed before, so that the sampler must be asked even if too few rows are ready. The request was checked.</summary>
    bool HasResult(in SampleRequest request);

    /// <summary>Picks rows. The request was checked.</summary>
    /// <returns><see cref="SampleResult.None"/>: there is no batch in what is ready.</returns>
    /// <exception cref="InvalidArgumentException">A tag that it reads is not of the right type.</exception>
    SampleResult Sample(in SampleRequest request);
}

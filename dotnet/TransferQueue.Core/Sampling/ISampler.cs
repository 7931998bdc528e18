namespace TransferQueue.Sampling;

/// <summary>
/// Which of the ready rows a fetch gets: a function of the ready rows, their tags and a state that goes in and comes out.
/// It keeps nothing itself, so one instance serves every partition and task, a record of its result can be replayed, and its
/// state goes into a checkpoint as it is.
/// </summary>
internal interface ISampler
{
    /// <summary>The name under which the configuration asks for it.</summary>
    string Name { get; }

    /// <summary>
    /// How many of the first ready rows a request for <paramref name="batchSize"/> rows must see; with
    /// <see cref="int.MaxValue"/> all of them. The fewer, the earlier the scan for ready rows stops.
    /// </summary>
    int ReadyWanted(int batchSize);

    /// <summary>Whether the state holds the answer to a request already, so that it must be asked even if too few rows are ready.</summary>
    bool HasResult(in SampleRequest request);

    /// <summary>Picks rows.</summary>
    /// <returns>No rows: there is no batch in what is ready; the state is unchanged then.</returns>
    /// <exception cref="InvalidArgumentException">The request can't be right for this sampler.</exception>
    SampleResult Sample(in SampleRequest request);
}

using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Sampling;

namespace TransferQueue.Control;

/// <content>A user's sampler, in a process of its own: it sees a snapshot, and what it picks is checked against the present.</content>
internal sealed partial class Controller
{
    /// <summary>Whether the sampler runs elsewhere, so that <see cref="Pick"/> can't be used.</summary>
    public bool IsSamplerHosted => _sampler is HostedSampler;

    /// <summary>The sampler that picks.</summary>
    public ISampler Sampler => _sampler;

    /// <summary>The sampler's name.</summary>
    public string SamplerName => _sampler.Name;

    /// <summary>Takes another sampler; to be called by the state machine only, which tries waiting fetches with it.</summary>
    public void UseSampler(ISampler sampler) => _sampler = sampler;

    /// <summary>The rows that the sampler may pick from, ascending; maybe fewer than are wanted.</summary>
    public long[] Offer(FetchQuery query) => Find(query.Partition) is { } partition
        ? partition.Indexes(partition.TakeReady(query, _sampler.ReadyWanted(query.BatchSize)))
        : [];

    /// <summary>Checks rows that the sampler picked; changes nothing.</summary>
    /// <param name="query">What was asked.</param>
    /// <param name="offered">The rows that it was offered, ascending.</param>
    /// <param name="sampled">The batch's rows; others than the offered ones come from a batch that it fixed before.</param>
    /// <param name="consumed">Those that the task does not get again.</param>
    /// <param name="pick">The batch, if it is accepted.</param>
    /// <exception cref="SamplerException">A row was neither offered nor is it in the partition.</exception>
    public Verdict Accept(
        FetchQuery query, long[] offered, ImmutableArray<long> sampled, ImmutableArray<long> consumed, out FetchPick? pick)
    {
        pick = null;
        if (Find(query.Partition) is not { } partition)
            return Verdict.Outdated;
        foreach (long index in sampled.Concat(consumed))
        {
            int slot = FindSlot(partition, index, 0);
            bool isFree = slot >= 0 && partition.AreReady([slot], query.Fields) && partition.Task(query.Task)?.Consumed[slot] != true;
            if (!isFree && Array.BinarySearch(offered, index) >= 0)
                return Verdict.Outdated;
            if (slot < 0)
                throw new SamplerException(
                    $"sampler {_sampler.Name}: it picked row {index} for task '{query.Task}', which is not in partition '{query.Partition}'; a row that it keeps may have been cleared");
        }
        FoundRows rows = Sampled(partition, new SampleResult(sampled, consumed, []));
        if (!partition.AreReady(rows.Slots, query.Fields))
            return Verdict.Unready;
        pick = new FetchPick([rows], Select(partition, [.. consumed.Distinct()]), []);
        return Verdict.Accepted;
    }

    /// <summary>The tags of rows, packed back to back; an empty one where there is none, or no such row.</summary>
    public ReadOnlyMemory<byte> TagsOf(string name, ImmutableArray<long> indexes)
    {
        Partition? partition = Find(name);
        MemoryStream tags = new();
        foreach (long index in indexes)
        {
            int slot = FindSlot(partition, index, 0);
            tags.Write(slot < 0 ? TagCodec.Empty : partition!.Tag(slot) ?? TagCodec.Empty);
        }
        return tags.GetBuffer().AsMemory(0, (int)tags.Length);
    }
}

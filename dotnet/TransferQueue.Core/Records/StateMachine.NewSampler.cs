using TransferQueue.Control;
using TransferQueue.Sampling;

namespace TransferQueue.Records;

internal sealed partial class StateMachine
{
    /// <summary>Lets another sampler pick from now on, also for the fetches that wait.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="keepsQuestion">The question that is out, if one is, will still be answered, or fail.</param>
    /// <remarks>
    /// No record: records hold what a sampler picked, and a replay asks none. Batches that are fixed stay fixed, so that ranks which
    /// come later get the rows that the others have.
    /// </remarks>
    public void UseSampler(ISampler sampler, bool keepsQuestion = false)
    {
        Controller.UseSampler(sampler);
        if (!keepsQuestion)
            _asked = null;
        while (_unasked.TryDequeue(out Waiter? queued))
            queued.IsQueued = false;
        foreach (Waiter waiter in _waiters.All())
        {
            waiter.AskedAt = Waiter.NeverAsked;
            if (waiter.Node is not null)
                Serve(waiter);
            if (waiter.Node is not null && !Controller.IsSamplerHosted)
                GiveNothing(waiter);
        }
    }
}

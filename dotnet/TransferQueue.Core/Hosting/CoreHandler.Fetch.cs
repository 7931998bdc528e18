using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Records;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>Fetches that wait, by the call that they answer.</summary>
    private readonly Dictionary<Call, Waiter> _waiting = [];

    private void Fetch(Call call, MetaRequest request, long deadline)
    {
        if (request.Task is null)
            throw new InvalidArgumentException($"partition '{request.Partition}': a fetch without a task; name the task that consumes the rows");
        bool waits = request.WaitMilliseconds is > 0 || (request.WaitMilliseconds is null && !_options.PollingMode);
        if (request.WaitMilliseconds is { } wait and > 0) // else a user's sampler may still take its time to pick
            deadline = Math.Min(deadline, Environment.TickCount64 + wait);
        var query = new FetchQuery(request.Partition, request.Task, request.Fields, request.BatchSize ?? 0, request.Sampling ?? default);
        if (_controller.IsSamplerHosted)
            FetchFromHost(call, query, deadline, waits);
        else if (_machine.TryFetch(query, out var meta))
            Finish(call, Batch(meta));
        else if (!waits)
            Finish(call, Batch(Columns.BatchMeta.Empty));
        else
            _waiting.Add(call, _machine.Park(query, deadline, call));
    }

    /// <summary>Answers the fetches that a change satisfied, or whose deadline came.</summary>
    private void AnswerWoken()
    {
        SendWoken();
        if (!_controller.IsSamplerHosted)
            return;
        AskSampler();
        SendWoken();
    }

    private void SendWoken()
    {
        while (_machine.TryTakeWoken(out WokenFetch? woken))
        {
            var call = (Call)woken.Waiter.Owner!;
            _waiting.Remove(call);
            if (woken.Meta is { } meta)
                Finish(call, Batch(meta));
            else
                Fail(call, woken.Error!);
        }
    }

    private long ExpireWaiters(long now)
    {
        if (_machine.NextDeadline is { } next && next <= now)
        {
            _machine.Expire(now);
            AnswerWoken();
        }
        return Math.Min(_machine.NextDeadline ?? long.MaxValue, ExpireQuestion(now));
    }

    /// <summary>A consumer that has gone waits no more: rows would be consumed for nobody.</summary>
    private void DropWaiters(ServerConnection connection)
    {
        foreach (var (call, waiter) in _waiting.Where(pair => pair.Key.Connection == connection).ToList())
        {
            _machine.Cancel(waiter);
            _waiting.Remove(call);
            Drop(call);
        }
    }
}

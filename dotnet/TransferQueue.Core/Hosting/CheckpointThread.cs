using System.Collections.Concurrent;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>The thread that reads and writes checkpoints, one after the other, and its way to the loop. Started when first needed.</summary>
/// <param name="work">Does a job; on this thread.</param>
internal sealed class CheckpointThread(Action<CheckpointJob> work) : IDisposable
{
    private readonly BlockingCollection<CheckpointJob> _jobs = [];
    private readonly CancellationTokenSource _stopping = new();
    private Thread? _thread;
    private volatile CheckpointJob? _running;

    /// <summary>Queues a job. The loop's thread.</summary>
    public void Add(CheckpointJob job)
    {
        _jobs.Add(job);
        if (_thread is null)
            (_thread = new Thread(Serve) { IsBackground = true, Name = "tq-checkpoint" }).Start();
    }

    /// <summary>Runs something on the loop's thread and waits for its end. The checkpoint thread.</summary>
    /// <exception cref="OperationCanceledException">The core ends.</exception>
    public T OnLoop<T>(ServerLoop loop, Func<T> call) => Wait<T>(loop, end => end(call(), null));

    /// <summary>Begins something on the loop's thread and waits until it calls back, once, from there. The checkpoint thread.</summary>
    /// <exception cref="OperationCanceledException">The core ends.</exception>
    public T Wait<T>(ServerLoop loop, Action<Action<T, Exception?>> begin)
    {
        var answer = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        loop.Post(() =>
        {
            try
            {
                begin((value, error) =>
                {
                    if (error is null)
                        answer.TrySetResult(value);
                    else
                        answer.TrySetException(error);
                });
            }
#pragma warning disable CA1031 // it is the job's end, and nobody else's
            catch (Exception error)
#pragma warning restore CA1031
            {
                answer.TrySetException(error);
            }
        });
        try
        {
            answer.Task.Wait(_stopping.Token);
        }
        catch (AggregateException)
        {
            // The next line throws what is in it.
        }
        return answer.Task.GetAwaiter().GetResult();
    }

    /// <summary>Ends the job that runs, and the thread. The loop has ended before.</summary>
    public void Dispose()
    {
        _stopping.Cancel();
        _running?.Cancel();
        _jobs.CompleteAdding();
        _thread?.Join();
        _jobs.Dispose();
        _stopping.Dispose();
    }

    private void Serve()
    {
        foreach (CheckpointJob job in _jobs.GetConsumingEnumerable())
        {
            if (_stopping.IsCancellationRequested)
                return;
            _running = job;
            Exception? failure = null;
            try
            {
                job.CheckCancelled();
                work(job);
            }
#pragma warning disable CA1031 // it is the job's end, and nobody else's
            catch (Exception error)
#pragma warning restore CA1031
            {
                failure = error;
            }
            job.End(failure);
            _running = null;
        }
    }
}

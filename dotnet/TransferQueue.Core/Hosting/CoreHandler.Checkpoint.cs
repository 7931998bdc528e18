using System.Diagnostics;
using System.Security.Cryptography;
using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Records;
using TransferQueue.Sampling;
using TransferQueue.Storage;

namespace TransferQueue.Hosting;

/// <content>Checkpoints: a thread of its own reads and writes the files; the loop copies nothing, and swaps in one step.</content>
internal sealed partial class CoreHandler : IDisposable
{
    /// <summary>Ended jobs that are remembered.</summary>
    private const int MostEndedJobs = 64;

    /// <summary>Extents that one step of the loop gives out or takes back.</summary>
    private const int ExtentsAtOnce = 1024;

    private readonly SortedDictionary<long, CheckpointJob> _jobs = [];

    /// <summary>Which life of the core this is, in files.</summary>
    private readonly Guid _life = Guid.NewGuid();
    private CheckpointThread? _checkpoints;
    private long _lastJob;

    /// <summary>A storage half that was loaded and waits for its controller half. The checkpoint thread's.</summary>
    private StagedStorage? _staged;
    private bool _isFreeing;

    /// <summary>A loaded storage half.</summary>
    private sealed record StagedStorage(Guid Core, Dictionary<ColumnName, Columns.StoredColumn> Columns);

    /// <summary>Ends what is under way. The loop has ended.</summary>
    public void Dispose() => _checkpoints?.Dispose();

    private CheckpointReply Begin(CheckpointRequest request, long deadline)
    {
        foreach (long ended in _jobs.Values.Where(job => job.HasEnded).Select(job => job.Number).SkipLast(MostEndedJobs).ToArray())
            _jobs.Remove(ended);
        TimeSpan patience = TimeSpan.FromMilliseconds(Math.Max(0, deadline - Environment.TickCount64));
        var job = new CheckpointJob(++_lastJob, request, patience);
        _jobs.Add(job.Number, job);
        CoreLog.Note($"checkpoint {request.Path}: {request.Action}");
        (_checkpoints ??= new CheckpointThread(Work)).Add(job);
        return new CheckpointReply(job.Number);
    }

    private CheckpointProgressReply Progress(CheckpointProgressRequest request)
    {
        if (!_jobs.TryGetValue(request.Job, out CheckpointJob? job))
            throw new InvalidArgumentException($"checkpoint: no job {request.Job} is known; the last {MostEndedJobs} that ended are");
        if (request.Cancel)
            job.Cancel();
        return job.Error is { } error ? throw error : job.Progress;
    }

    /// <summary>Does a job. The checkpoint thread.</summary>
    private void Work(CheckpointJob job)
    {
        CheckpointRequest request = job.Request;
        switch (request.Action)
        {
            case CheckpointRequest.Save:
                Save(job, writer => writer.WriteAll(request.Path, request.Metadata ?? "{}"));
                break;
            case CheckpointRequest.SaveStorage:
                Save(job, writer => writer.WriteStorage(request.Path));
                break;
            case CheckpointRequest.SaveController:
                Save(job, writer => writer.WriteController(request.Path));
                break;
            case CheckpointRequest.LoadStorage:
                LoadStorage(job);
                break;
            case CheckpointRequest.LoadController:
                LoadController(job);
                break;
            default:
                LoadAll(job);
                break;
        }
    }

    private T OnLoop<T>(Func<T> call) => _checkpoints!.OnLoop(Loop, call);

    private void OnLoop(Action call) => _checkpoints!.OnLoop(Loop, () =>
    {
        call();
        return true;
    });

    /// <summary>Copies the state in a moment at which nothing changes, and writes it while everything goes on.</summary>
    private void Save(CheckpointJob job, Action<CheckpointWriter> write)
    {
        bool hasSampler = job.Request.Action != CheckpointRequest.SaveStorage;
        (ReadOnlyMemory<byte>? state, string[] forgotten) = _checkpoints!.Wait<(ReadOnlyMemory<byte>?, string[])>(Loop, end => FreezeWithSampler(hasSampler, end));
        try
        {
            ControllerImage image;
            string sampler;
            long begun = Stopwatch.GetTimestamp();
            try
            {
                image = _controller.Capture();
                sampler = SamplerIdentity; // while another one can't be registered
            }
            finally
            {
                OnLoop(Unfreeze);
            }
            CoreLog.Note($"checkpoint {job.Request.Path}: {image.RowCount} rows looked at, changes waited for {Stopwatch.GetElapsedTime(begun).TotalMilliseconds:0.0} ms");
            var content = new CheckpointContent(_life, image, sampler, state, [.. forgotten]);
            var writer = new CheckpointWriter(content, _storage, _options.Units, job.Report);
            job.Total = writer.ColumnBytes;
            write(writer);
        }
        finally
        {
            OnLoop(() =>
            {
                _storage.EndHold();
                FreeInSteps();
            });
        }
    }

    private void LoadAll(CheckpointJob job)
    {
        using CheckpointReader reader = CheckpointReader.OpenAll(job.Request.Path, _options.Units, job.Report);
        job.Total = reader.FileBytes;
        OwnedExtent[] extents = Allocate(job, [.. reader.ColumnBytes]);
        try
        {
            List<Columns.StoredColumn> unused = [];
            CheckpointContent content = reader.ReadContent(reader.ReadColumns(extents, _storage), unused);
            Swap(job, content);
            Free(unused);
        }
        catch when (!job.HasSwapped)
        {
            Free(extents);
            throw;
        }
    }

    private void LoadStorage(CheckpointJob job)
    {
        using CheckpointReader reader = CheckpointReader.OpenStorage(job.Request.Path, _options.Units, job.Report);
        job.Total = reader.FileBytes;
        OwnedExtent[] extents = Allocate(job, [.. reader.ColumnBytes]);
        try
        {
            StagedStorage staged = new(reader.Core, reader.ReadColumns(extents, _storage));
            DropStaged();
            _staged = staged;
        }
        catch
        {
            Free(extents);
            throw;
        }
    }

    private void LoadController(CheckpointJob job)
    {
        using CheckpointReader reader = CheckpointReader.OpenController(job.Request.Path, job.Report);
        job.Total = reader.FileBytes;
        List<Columns.StoredColumn> unused = [];
        bool fits = _staged is { } staged && staged.Core == reader.Core;
        CheckpointContent content = reader.ReadContent(fits ? _staged!.Columns : new Dictionary<ColumnName, Columns.StoredColumn>(), unused);
        try
        {
            Swap(job, content);
        }
        finally
        {
            if (fits && job.HasSwapped)
                _staged = null; // its columns are in use
        }
        if (fits)
            Free(unused);
    }

    private void DropStaged()
    {
        if (_staged is { } staged)
            Free(staged.Columns.Values);
        _staged = null;
    }

    /// <summary>Everything is read and verified: puts it in the place of what there is.</summary>
    private void Swap(CheckpointJob job, CheckpointContent content)
    {
        (ISampler sampler, string identity, long clock) = OnLoop(() => (_controller.Sampler, SamplerIdentity, _controller.NextClock));
        bool isSameSampler = content.Sampler == identity;
        bool remembers = content.SamplerState is not null || content.Image.Partitions.Any(partition => !partition.Batches.IsEmpty);
        if (!isSameSampler && remembers)
            job.Note = $"it was saved with the sampler {content.Sampler}, this queue has {identity}: what that one remembered is left out";
        var record = new LoadRecord(isSameSampler ? content.Image : content.Image.WithoutBatches(), NewFloor()) { Sampler = remembers ? sampler : null };
        record.Prepare(clock);
        OnLoop(() => _machine.Validate(record));
        ReadOnlyMemory<byte>? state = isSameSampler ? content.SamplerState : null;
        bool isAsked = sampler is HostedSampler && state is not null;
        if (isAsked)
            _checkpoints!.Wait<bool>(Loop, end => LoadSampler(state!.Value, end));
        try
        {
            job.CheckCancelled();
            OnLoop(() => Swap(job, record, isAsked ? content.Forgotten.ToArray() : [.. _controller.Partitions.Select(partition => partition.Name)]));
        }
        finally
        {
            if (isAsked)
                OnLoop(ResumeSampler);
        }
    }

    private void Swap(CheckpointJob job, LoadRecord record, string[] forgotten)
    {
        _machine.Apply(record);
        job.HasSwapped = true;
        TellForgotten(forgotten);
        FreeInSteps();
        AnswerWoken();
    }

    /// <summary>Takes room for columns, some at a time; where there is none, it waits as a put does.</summary>
    private OwnedExtent[] Allocate(CheckpointJob job, long[] lengths)
    {
        OnLoop(() => _storage.CheckFits(lengths));
        List<OwnedExtent> taken = new(lengths.Length);
        long deadline = Environment.TickCount64 + (long)job.RoomTimeout.TotalMilliseconds;
        try
        {
            while (taken.Count < lengths.Length)
            {
                job.CheckCancelled();
                if (OnLoop(() => TakeSome(lengths, taken)))
                    continue;
                if (Environment.TickCount64 > deadline)
                    throw OnLoop(() => NoRoom(new RoomWaiter(lengths[taken.Count..].Sum(), deadline, () => false, job, _storage.IsOffloaded(lengths.AsSpan(taken.Count)))));
                Thread.Sleep(10); // memory is taken in the background, or somebody clears
            }
        }
        catch
        {
            Free(taken);
            throw;
        }
        return [.. taken];
    }

    private bool TakeSome(long[] lengths, List<OwnedExtent> taken)
    {
        int end = Math.Min(lengths.Length, taken.Count + ExtentsAtOnce);
        while (taken.Count < end)
        {
            if (!_storage.TryAllocate(lengths[taken.Count], out OwnedExtent extent))
            {
                _storage.GrowFor(lengths.AsSpan(taken.Count));
                return false;
            }
            taken.Add(extent);
        }
        return true;
    }

    private void Free(IEnumerable<Columns.StoredColumn> columns) => Free([.. columns.Select(column => new OwnedExtent(column.Unit, column.Extent))]);

    private void Free(IReadOnlyCollection<OwnedExtent> extents)
    {
        foreach (OwnedExtent[] some in extents.Chunk(ExtentsAtOnce))
            OnLoop(() => _storage.Free(some));
    }

    private void FreeInSteps()
    {
        if (_isFreeing)
            return;
        _isFreeing = true;
        FreeSome();
    }

    private void FreeSome()
    {
        _isFreeing = _storage.FreeSome();
        if (_isFreeing)
            Loop.Post(FreeSome);
    }

    private static uint NewFloor() => (uint)RandomNumberGenerator.GetInt32(1, int.MaxValue) * 2u;
}

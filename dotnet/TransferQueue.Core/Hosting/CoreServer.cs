using TransferQueue.Control;
using TransferQueue.Memory;
using TransferQueue.Records;
using TransferQueue.Sampling;
using TransferQueue.Storage;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>A running core: memory, controller, storage, and the loop on a thread of its own.</summary>
internal sealed class CoreServer : IRunningServer
{
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _ended = new();
    private readonly ServerLoop _loop;
    private readonly ArenaGrower _grower;
    private readonly CoreHandler _handler;

    /// <summary>For files; null: all columns lie in memory.</summary>
    private readonly ArenaGrower? _fileGrower;

    private CoreServer(CoreOptions options)
    {
        var segments = new SegmentTable();
        var arena = new Arena(new ArenaOptions { CapacityBytes = options.CapacityBytes ?? MemoryLimits.DefaultCapacityBytes() }, segments);
        var keeper = new KeeperLink(options.KeeperFd);
        arena.SegmentCreated += keeper.Keep;
        var scratch = new NativeBufferPool();
        var allocator = new ExtentAllocator(arena);
        _grower = new ArenaGrower(allocator, action => _loop!.Post(action));
        ExtentAllocator? files = Files(options, segments, keeper);
        _fileGrower = files is null ? null : new ArenaGrower(files, action => _loop!.Post(action));
        var storage = new StorageManager(
            [new StorageUnit(allocator, _grower)], scratch, new StorageOptions { RowCapacity = options.TotalRows, OffloadBytes = options.OffloadBytes },
            files is null ? null : new StorageUnit(files, _fileGrower));
        var controller = new Controller(new ControllerOptions { PreAllocate = options.PreAllocate, FirstGeneration = FirstGeneration() }, Sampler(options));
        _handler = new CoreHandler(options, controller, storage, new StateMachine(controller, storage), segments);
        var limits = TransportLimits.Default with { PayloadBytes = storage.MostPutBytes };
        _loop = new ServerLoop(new ServerLoopOptions { ListenFd = options.ListenFd, Limits = limits }, _handler);
        _handler.Loop = _loop;
        _grower.Ended += () => NoteGrowth(_grower, _handler);
        if (_fileGrower is not null)
            _fileGrower.Ended += () => NoteGrowth(_fileGrower, _handler);
        _thread = new Thread(() => Run(storage, scratch)) { Name = "tq-core", IsBackground = true };
        if (MemoryLimits.RemainingBytes() is var free && free < storage.CapacityBytes)
            CoreLog.Note($"memory: the capacity is {storage.CapacityBytes >> 20} MiB, the machine or the container can spare {free >> 20} MiB now; puts beyond that will wait and fail");
        CoreLog.Note($"serving job '{options.Job}': {storage.CapacityBytes >> 20} MiB for columns, rows {options.TotalRows?.ToString() ?? "without limit"}");
    }

    /// <summary>Room in files, with its segment made before the loop runs; null: none is wanted.</summary>
    private static ExtentAllocator? Files(CoreOptions options, SegmentTable segments, KeeperLink keeper)
    {
        if (options.OffloadPath.Length == 0)
            return null;
        var arena = new Arena(new OffloadFolder(options.OffloadPath).ArenaOptions(), segments);
        arena.SegmentCreated += keeper.Keep;
        arena.Prepare();
        CoreLog.Note($"offload: columns of {options.OffloadBytes} bytes or more go to {options.OffloadPath}, which has {arena.CapacityBytes >> 20} MiB");
        return new ExtentAllocator(arena);
    }

    /// <summary>Another one in each life, so that batches of an earlier one are told.</summary>
    private static uint FirstGeneration() => (uint)Random.Shared.Next(1, int.MaxValue);

    private static ISampler Sampler(CoreOptions options) =>
        options.IsSamplerHosted ? new HostedSampler(options.Sampler) : BuiltInSamplers.Get(options.Sampler, options.SamplerArguments);

    /// <summary>Starts a core.</summary>
    /// <param name="options">The packed map that <see cref="CoreOptions.Read"/> reads.</param>
    /// <exception cref="InvalidArgumentException">An option is wrong.</exception>
    public static CoreServer Start(ReadOnlyMemory<byte> options)
    {
        var server = new CoreServer(CoreOptions.Read(options));
        server._thread.Start();
        return server;
    }

    /// <inheritdoc/>
    public bool Wait(TimeSpan limit) => _ended.Wait(limit);

    /// <inheritdoc/>
    public void Stop()
    {
        _loop.Stop();
        _ended.Wait();
    }

    private static void NoteGrowth(ArenaGrower grower, CoreHandler handler)
    {
        if (grower.Failure is { } failure)
            CoreLog.Note(failure.Message);
        else
            handler.MemoryGrown();
    }

    private void Run(StorageManager storage, NativeBufferPool scratch)
    {
        try
        {
            _loop.Run();
            _handler.Dispose();
            _grower.Dispose();
            _fileGrower?.Dispose();
            _loop.Dispose();
            storage.Dispose();
            scratch.Dispose();
        }
#pragma warning disable CA1031 // the last stop of this thread
        catch (Exception error)
#pragma warning restore CA1031
        {
            CoreLog.Fault(error);
        }
        finally
        {
            _ended.Set();
        }
    }
}

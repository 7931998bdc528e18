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

    private CoreServer(CoreOptions options)
    {
        var arena = new Arena(new ArenaOptions { CapacityBytes = options.CapacityBytes ?? MemoryLimits.DefaultCapacityBytes() });
        var keeper = new KeeperLink(options.KeeperFd);
        arena.SegmentCreated += keeper.Keep;
        var scratch = new NativeBufferPool();
        var allocator = new ExtentAllocator(arena);
        _grower = new ArenaGrower(allocator, action => _loop!.Post(action));
        var storage = new StorageManager(
            [new StorageUnit(allocator, _grower)], scratch, new StorageOptions { RowCapacity = options.TotalRows });
        var controller = new Controller(new ControllerOptions { PreAllocate = options.PreAllocate }, Sampler(options));
        var handler = new CoreHandler(options, controller, storage, new StateMachine(controller, storage));
        var limits = TransportLimits.Default with { PayloadBytes = storage.CapacityBytes };
        _loop = new ServerLoop(new ServerLoopOptions { ListenFd = options.ListenFd, Limits = limits }, handler);
        handler.Loop = _loop;
        _grower.Ended += () => NoteGrowth(handler);
        _thread = new Thread(() => Run(storage, scratch)) { Name = "tq-core", IsBackground = true };
        if (MemoryLimits.RemainingBytes() is var free && free < storage.CapacityBytes)
            CoreLog.Note($"memory: the capacity is {storage.CapacityBytes >> 20} MiB, the machine or the container can spare {free >> 20} MiB now; puts beyond that will wait and fail");
        CoreLog.Note($"serving job '{options.Job}': {storage.CapacityBytes >> 20} MiB for columns, rows {options.TotalRows?.ToString() ?? "without limit"}");
    }

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

    private void NoteGrowth(CoreHandler handler)
    {
        if (_grower.Failure is { } failure)
            CoreLog.Note(failure.Message);
        else
            handler.MemoryGrown();
    }

    private void Run(StorageManager storage, NativeBufferPool scratch)
    {
        try
        {
            _loop.Run();
            _grower.Dispose();
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

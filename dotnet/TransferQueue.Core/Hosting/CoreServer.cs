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

    private CoreServer(CoreOptions options)
    {
        var arena = new Arena(new ArenaOptions { CapacityBytes = options.CapacityBytes ?? MemoryLimits.DefaultCapacityBytes() });
        var keeper = new KeeperLink(options.KeeperFd);
        arena.SegmentCreated += keeper.Keep;
        var scratch = new NativeBufferPool();
        var storage = new StorageManager(
            [new StorageUnit(new ExtentAllocator(arena))], scratch, new StorageOptions { RowCapacity = options.TotalRows });
        var controller = new Controller(new ControllerOptions { PreAllocate = options.PreAllocate }, BuiltInSamplers.Get(options.Sampler, options.SamplerArguments));
        var handler = new CoreHandler(options, controller, storage, new StateMachine(controller, storage));
        var limits = TransportLimits.Default with { PayloadBytes = storage.CapacityBytes };
        _loop = new ServerLoop(new ServerLoopOptions { ListenFd = options.ListenFd, Limits = limits }, handler);
        handler.Loop = _loop;
        _thread = new Thread(() => Run(storage, scratch)) { Name = "tq-core", IsBackground = true };
        CoreLog.Note($"serving job '{options.Job}': {storage.CapacityBytes >> 20} MiB for columns, rows {options.TotalRows?.ToString() ?? "without limit"}");
    }

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

    private void Run(StorageManager storage, NativeBufferPool scratch)
    {
        try
        {
            _loop.Run();
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

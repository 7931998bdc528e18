using TransferQueue.Client;
using TransferQueue.Memory;

namespace TransferQueue.Hosting;

/// <summary>The core's shared memory as its gateway sees it, which only copies from there. The maps are made by a client of the gateway's own, when first asked for.</summary>
/// <param name="corePath">Path of the core's Unix socket.</param>
/// <remarks>Thread-safe.</remarks>
internal sealed unsafe class GatewayMemory(string corePath) : IDisposable
{
    private readonly Lock _gate = new();
    private Client.ClientSession? _session;

    /// <summary>Copies frames from where the core says that they lie; with two threads if they are many bytes.</summary>
    /// <param name="frames">Places, and where their bytes go.</param>
    /// <exception cref="TransferQueueException">There is no such place, or the core does not answer.</exception>
    public void Copy(IEnumerable<(ulong Place, NativeSegment Target)> frames)
    {
        SharedMemory memory = Open();
        var copy = new BulkCopy();
        foreach ((ulong place, NativeSegment target) in frames)
            copy.Add(memory.Locate(place, target.Length), target.Pointer);
        copy.Run();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
            _session?.Dispose();
    }

    private SharedMemory Open()
    {
        lock (_gate)
        {
            if (_session is null)
            {
                var options = new ClientOptions { Address = ServerAddress.Parse($"unix://{corePath}"), Package = "gateway" };
                var session = new Client.ClientSession(options);
                try
                {
                    while (session.Open(options.ConnectTimeout) is null)
                    {
                        // HELLO's answer comes within its time, or an exception
                    }
                }
                catch (TransferQueueException)
                {
                    session.Dispose();
                    throw;
                }
                _session = session;
            }
            return _session.Memory ?? throw new ProtocolException("gateway: the core answers with frames in shared memory, and offers none");
        }
    }
}

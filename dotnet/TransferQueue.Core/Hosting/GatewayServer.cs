using System.Buffers;
using MessagePack;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>
/// A running gateway: speaks NetMQ with other hosts and the Unix protocol with the core, one core connection per remote client, so that to
/// the core a remote client is a client like any other. Knows of messages only HELLO, AUTH, and that what a GET answers may lie in shared memory: it
/// copies that from there, in one pass, and gives it back with a RELEASE.
/// </summary>
/// <remarks>
/// Two threads: the endpoint's (NetMQ) and the loop's (core connections). Each owns its side; messages pass between them by
/// <see cref="ServerLoop.Post"/> and <see cref="RouterEndpoint.Send"/>.
/// </remarks>
internal sealed partial class GatewayServer : IRunningServer
{
    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(2);

    private readonly GatewayOptions _options;
    private readonly RouterEndpoint _endpoint;
    private readonly ServerLoop _loop;
    private readonly GatewayMemory _memory;
    private readonly CountdownEvent _running = new(2);
    private readonly byte[] _answer;

    private GatewayServer(GatewayOptions options)
    {
        _options = options;
        _memory = new GatewayMemory(options.CorePath);
        _loop = new ServerLoop(new ServerLoopOptions(), new CoreSide(this));
        _endpoint = new RouterEndpoint(new RouterEndpointOptions { Address = options.Listen }, new RemoteSide(this));
        Address = $"tcp://{HostOf(options.Listen)}:{_endpoint.Port}";
        _answer = Packed(Address);
        CoreLog.Note($"gateway: listening on {Address}");
    }

    /// <summary>Where it listens, with the port that it took.</summary>
    public string Address { get; }

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Answer => _answer;

    /// <summary>Starts a gateway.</summary>
    /// <param name="options">The packed map that <see cref="GatewayOptions.Read"/> reads.</param>
    /// <exception cref="InvalidArgumentException">An option is wrong.</exception>
    /// <exception cref="TransferQueueException">The address can't be listened on.</exception>
    public static GatewayServer Start(ReadOnlyMemory<byte> options)
    {
        var server = new GatewayServer(GatewayOptions.Read(options));
        server.StartThread("tq-gateway-core", server._loop.Run);
        server.StartThread("tq-gateway-router", server._endpoint.Run);
        return server;
    }

    /// <inheritdoc/>
    public bool Wait(TimeSpan limit) => _running.Wait(limit);

    /// <inheritdoc/>
    public void Stop()
    {
        _endpoint.Stop();
        _loop.Stop();
        _running.Wait();
        _endpoint.Dispose();
        _loop.Dispose();
        _memory.Dispose();
    }

    private void StartThread(string name, Action run)
    {
        var thread = new Thread(() =>
        {
            try
            {
                run();
            }
#pragma warning disable CA1031 // the last stop of this thread
            catch (Exception error)
#pragma warning restore CA1031
            {
                CoreLog.Fault(error);
            }
            finally
            {
                _running.Signal();
            }
        })
        { Name = name, IsBackground = true };
        thread.Start();
    }

    private static byte[] Packed(string address)
    {
        var answer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(answer);
        writer.WriteMapHeader(1);
        writer.Write("address");
        writer.Write(address);
        writer.Flush();
        return answer.WrittenSpan.ToArray();
    }

    private static string HostOf(string address)
    {
        string rest = address["tcp://".Length..];
        return rest[..rest.LastIndexOf(':')];
    }

    /// <summary>Sends the core a request that the gateway has written. Loop thread.</summary>
    private void Ask(ServerConnection core, ulong requestId, Request request)
    {
        OutgoingMessage message = _loop.RentMessage();
        message.Header.Write(request.ToHeader().Span);
        message.Seal(Prelude.Create((ushort)request.Type, requestId));
        core.Send(message);
    }

    /// <summary>Sends a reply of the gateway's own.</summary>
    private void Reply(RouterPeer peer, ulong requestId, Reply reply)
    {
        var message = new OutgoingMessage();
        reply.WriteHeader(message.Header);
        message.Seal(Prelude.Create((ushort)reply.Type, Math.Max(1, requestId)));
        _endpoint.Send(peer, MultipartMessage.CopyOf(message));
    }
}

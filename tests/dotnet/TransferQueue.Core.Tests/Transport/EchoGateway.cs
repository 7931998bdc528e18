using System.Collections.Concurrent;
using TransferQueue.Memory;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Transport;

/// <summary>A router endpoint on a free port of this machine that sends messages back; type 99 is held until <see cref="ReleaseHeld"/>, type 98 faults.</summary>
internal sealed unsafe class EchoGateway : IRouterHandler, IDisposable
{
    public const ushort Hold = 99;
    public const ushort Fault = 98;
    private readonly Thread _thread;
    private readonly ConcurrentQueue<(RouterPeer Peer, MultipartMessage Message)> _held = new();

    public EchoGateway(RouterEndpointOptions? options = null)
    {
        Endpoint = new RouterEndpoint(options ?? new RouterEndpointOptions { Address = "tcp://127.0.0.1:0" }, this);
        _thread = new Thread(Endpoint.Run) { IsBackground = true };
        _thread.Start();
    }

    public RouterEndpoint Endpoint { get; }

    public string Address => $"tcp://127.0.0.1:{Endpoint.Port}";

    public ConcurrentQueue<string> Disconnects { get; } = new();

    public ConcurrentQueue<TransferQueueException> Rejections { get; } = new();

    public int HeldCount => _held.Count;

    public int Received;

    public DealerChannel Connect(NativeBufferPool pool) => DealerChannel.Connect(Address, TimeSpan.FromSeconds(10), pool, TransportLimits.Default);

    public void ReleaseHeld()
    {
        while (_held.TryDequeue(out var held))
            Endpoint.Send(held.Peer, held.Message);
    }

    void IRouterHandler.Received(RouterPeer peer, in Prelude prelude, int headerStart, MultipartMessage message)
    {
        Interlocked.Increment(ref Received);
        if (prelude.Type == Fault)
        {
            message.Dispose();
            throw new InvalidOperationException("asked for");
        }
        if (prelude.Type == Hold)
            _held.Enqueue((peer, message));
        else
            Endpoint.Send(peer, message);
    }

    public void Rejected(RouterPeer peer, in Prelude prelude, TransferQueueException why)
    {
        Rejections.Enqueue(why);
        var message = new OutgoingMessage();
        message.Header.GetSpan(1)[0] = (byte)why.Kind;
        message.Header.Advance(1);
        message.Seal(Prelude.Create(101, Math.Max(1, prelude.RequestId)));
        Endpoint.Send(peer, MultipartMessage.CopyOf(message));
    }

    public void Disconnected(RouterPeer peer, string reason) => Disconnects.Enqueue(reason);

    public void Dispose()
    {
        Endpoint.Stop();
        Assert.True(_thread.Join(TimeSpan.FromSeconds(20)), "the endpoint did not end");
        Endpoint.Dispose();
        while (_held.TryDequeue(out var held))
            held.Message.Dispose();
    }
}

using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class GatewayServer
{
    /// <summary>What other hosts send. Endpoint thread only.</summary>
    private sealed class RemoteSide(GatewayServer gateway) : IRouterHandler
    {
        /// <inheritdoc/>
        public void Received(RouterPeer peer, in Prelude prelude, int headerStart, MultipartMessage message)
        {
            var state = (GatewayPeer)(peer.State ??= new GatewayPeer(peer));
            if (state.IsProven)
            {
                if (GatewayPeer.IsOurs(prelude.RequestId))
                {
                    message.Dispose();
                    gateway.Refuse(peer, prelude.RequestId, new ProtocolException($"message: request id {prelude.RequestId}; between hosts ids are smaller than 2^63"));
                    return;
                }
                Prelude asked = prelude;
                gateway._loop.Post(() => gateway.Forward(state, asked, headerStart, message));
                return;
            }
            try
            {
                ProtocolVersion.Check(prelude.Version);
                byte[] header = message[0][headerStart..].ToArray();
                Meet(state, prelude, header);
            }
            catch (TransferQueueException error)
            {
                gateway.Refuse(peer, prelude.RequestId, error);
            }
            finally
            {
                message.Dispose();
            }
        }

        /// <inheritdoc/>
        public void Rejected(RouterPeer peer, in Prelude prelude, TransferQueueException why) =>
            gateway.Reply(peer, prelude.RequestId, ErrorReply.Of(why));

        /// <inheritdoc/>
        public void Disconnected(RouterPeer peer, string reason)
        {
            if (peer.State is GatewayPeer state)
                gateway._loop.Post(() => state.Core?.Abort($"the remote client has gone: {reason}"));
        }

        private void Meet(GatewayPeer state, in Prelude prelude, byte[] header)
        {
            switch (Request.Read(prelude.Version, prelude.Type, header, [], ProtocolLimits.Default))
            {
                case HelloRequest hello:
                    state.Nonce = TokenProof.CreateNonce();
                    state.Client = hello.Client.ToArray();
                    state.Hello = header;
                    gateway.Reply(state.Peer, prelude.RequestId, new NonceReply(state.Nonce));
                    break;
                case AuthRequest auth:
                    CheckProof(state, auth);
                    state.IsProven = true;
                    ulong requestId = prelude.RequestId;
                    gateway._loop.Post(() => gateway.ConnectToCore(state, requestId));
                    break;
                default:
                    throw new AuthenticationException($"gateway: a request of type {prelude.Type} before HELLO and the proof of the job's token");
            }
        }

        private void CheckProof(GatewayPeer state, AuthRequest auth)
        {
            byte[]? nonce = state.Nonce;
            state.Nonce = null; // one try per nonce
            bool fits = nonce is not null && auth.Nonce.Span.SequenceEqual(nonce) && auth.Client.Span.SequenceEqual(state.Client);
            if (!fits || !TokenProof.Verify(auth.Mac.Span, gateway._options.Token.AsSpan(), state.Client, nonce))
                throw new AuthenticationException("gateway: the proof of the job's token is wrong; pass the token of this job (TRANSFERQUEUE_TOKEN)");
        }
    }

    private void Refuse(RouterPeer peer, ulong requestId, TransferQueueException error)
    {
        Reply(peer, requestId, ErrorReply.Of(error));
        peer.IsIgnored = true;
    }

    /// <summary>Opens the client's own connection to the core and greets it in the client's name. Loop thread.</summary>
    private void ConnectToCore(GatewayPeer state, ulong requestId)
    {
        try
        {
            state.Core = _loop.Adopt(UnixSocket.Connect(_options.CorePath, ConnectPatience));
            state.Core.State = state;
        }
        catch (TransferQueueException error)
        {
            Reply(state.Peer, requestId, ErrorReply.Of(error));
            return;
        }
        Ask(state.Core, requestId, Signed(state.Hello));
    }

    /// <summary>A remote client's greeting as the core gets it: with our proof, which also says that it is a gateway that reads and writes for the client.</summary>
    private HelloRequest Signed(ReadOnlyMemory<byte> header)
    {
        var hello = (HelloRequest)Request.Read(ProtocolVersion.Current, (ushort)MessageType.Hello, header, [], ProtocolLimits.Default);
        byte[] proof = TokenProof.Compute(_options.Token.AsSpan(), hello.Client.Span, new byte[TokenProof.NonceBytes]);
        return hello with { TokenProof = proof };
    }

    /// <summary>Sends a client's message on to the core, from where NetMQ put it. Loop thread.</summary>
    private void Forward(GatewayPeer state, Prelude prelude, int headerStart, MultipartMessage message)
    {
        if (state.Core is not { IsOpen: true } core)
        {
            message.Dispose();
            Reply(state.Peer, prelude.RequestId, new ErrorReply(ErrorKind.ConnectionLost, "gateway: the connection to the core is gone; connect again"));
            return;
        }
        OutgoingMessage forwarded = _loop.RentMessage();
        NativeSegment head = message.Segment(0);
        forwarded.UseHeader(head.Skip(headerStart));
        for (int i = 1; i < message.FrameCount; i++)
            forwarded.AddFrame(message.Segment(i));
        forwarded.Completed = (_, _) => message.Dispose();
        forwarded.Shared = prelude.Type == (ushort)MessageType.Get; // its columns are copied from where they lie, not through two sockets
        forwarded.Seal(prelude);
        core.Send(forwarded);
    }
}

using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class GatewayServer
{
    /// <summary>What the core answers. Loop thread only.</summary>
    private sealed class CoreSide(GatewayServer gateway) : IServerHandler
    {
        /// <inheritdoc/>
        public void Connected(ServerConnection connection)
        {
        }

        /// <inheritdoc/>
        public ReceivePlan Header(
            ServerConnection connection, in Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places, ReadOnlySpan<byte> header)
        {
            var message = new MultipartMessage();
            try
            {
                if (prelude.Flags != PreludeFlags.None)
                    throw new ProtocolException("gateway: the core answered with frames in shared memory, which no other host can read");
                WriteHead(message, prelude, frameLengths, header);
                foreach (ulong length in frameLengths)
                    message.AddFrame((long)length);
            }
            catch (TransferQueueException error)
            {
                message.Dispose();
                gateway.Reply(PeerOf(connection), prelude.RequestId, Protocol.ErrorReply.Of(error));
                return ReceivePlan.Skip;
            }
            if (prelude.PayloadBytes == 0)
            {
                gateway._endpoint.Send(PeerOf(connection), message);
                return ReceivePlan.None;
            }
            var plan = new ReceivePlan { State = message };
            for (int i = 1; i < message.FrameCount; i++)
                plan.Add(message.Segment(i));
            return plan;
        }

        /// <inheritdoc/>
        public void PayloadReceived(ServerConnection connection, ReceivePlan plan) =>
            gateway._endpoint.Send(PeerOf(connection), (MultipartMessage)plan.State!);

        /// <inheritdoc/>
        public void PayloadLost(ServerConnection connection, ReceivePlan plan) => ((MultipartMessage)plan.State!).Dispose();

        /// <inheritdoc/>
        public void Disconnected(ServerConnection connection, string reason)
        {
            if (connection.State is not GatewayPeer state)
                return;
            state.Core = null;
            gateway._endpoint.Post(() => gateway._endpoint.GiveUp(state.Peer, $"the core ended its connection: {reason}"));
        }

        /// <inheritdoc/>
        public void Rejected(ServerConnection connection, in Prelude prelude, TransferQueueException why) =>
            CoreLog.Note($"gateway: the core sent what is no message: {why.Message}");

        /// <inheritdoc/>
        public long Tick(long nowMilliseconds) => long.MaxValue;

        private static RouterPeer PeerOf(ServerConnection connection) => ((GatewayPeer)connection.State!).Peer;

        /// <summary>Writes prelude, lengths and header as the first frame.</summary>
        private static void WriteHead(MultipartMessage message, in Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<byte> header)
        {
            message.AddFrame(Prelude.Bytes + frameLengths.Length * sizeof(ulong) + header.Length);
            Span<byte> head = message[0];
            prelude.CopyTo(head);
            System.Runtime.InteropServices.MemoryMarshal.AsBytes(frameLengths).CopyTo(head[Prelude.Bytes..]);
            header.CopyTo(head[(Prelude.Bytes + frameLengths.Length * sizeof(ulong))..]);
        }
    }
}

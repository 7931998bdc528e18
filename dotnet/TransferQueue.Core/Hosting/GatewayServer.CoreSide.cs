using TransferQueue.Columns;
using TransferQueue.Memory;
using TransferQueue.Protocol;
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
            var peer = (GatewayPeer)connection.State!;
            if (GatewayPeer.IsOurs(prelude.RequestId))
            {
                gateway.Deliver(peer, prelude, header);
                return ReceivePlan.None;
            }
            var reply = new RelayedReply(peer, prelude.RequestId, prelude.Acknowledged);
            var plan = new ReceivePlan { State = reply };
            try
            {
                Prepare(reply, plan, prelude, frameLengths, places, header);
            }
            catch (TransferQueueException error)
            {
                gateway.Fail(reply, error);
                return ReceivePlan.Skip;
            }
            if (prelude.PayloadBytes > 0)
                return plan;
            gateway.Relay(reply);
            return ReceivePlan.None;
        }

        /// <inheritdoc/>
        public void PayloadReceived(ServerConnection connection, ReceivePlan plan) => gateway.Relay((RelayedReply)plan.State!);

        /// <inheritdoc/>
        public void PayloadLost(ServerConnection connection, ReceivePlan plan) => ((RelayedReply)plan.State!).Message.Dispose();

        /// <inheritdoc/>
        public void Disconnected(ServerConnection connection, string reason)
        {
            if (connection.State is not GatewayPeer state)
                return;
            state.Core = null;
            foreach (RelayedReply reply in state.Releasing.Values)
                reply.Message.Dispose();
            state.Releasing.Clear();
            gateway._endpoint.Post(() => gateway._endpoint.GiveUp(state.Peer, $"the core ended its connection: {reason}"));
        }

        /// <inheritdoc/>
        public void Rejected(ServerConnection connection, in Prelude prelude, TransferQueueException why) =>
            CoreLog.Note($"gateway: the core sent what is no message: {why.Message}");

        /// <inheritdoc/>
        public long Tick(long nowMilliseconds) => long.MaxValue;

        /// <summary>Makes room for the message, and says which frames come through the socket and which from shared memory.</summary>
        private static void Prepare(
            RelayedReply reply, ReceivePlan plan, Prelude prelude, ReadOnlySpan<ulong> frameLengths, ReadOnlySpan<ulong> places, ReadOnlySpan<byte> header)
        {
            ulong bytes = 0;
            foreach (ulong length in frameLengths)
                bytes += length;
            WriteHead(reply.Message, prelude with { Flags = PreludeFlags.None, Acknowledged = 0, PayloadBytes = bytes }, frameLengths, header);
            for (int i = 0; i < frameLengths.Length; i++)
            {
                reply.Message.AddFrame((long)frameLengths[i]);
                NativeSegment target = reply.Message.Segment(i + 1);
                if (places.IsEmpty || places[i] == FramePlace.Inline)
                    plan.Add(target);
                else
                    reply.Placed.Add((places[i], target));
            }
        }

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

    /// <summary>Sends an answer that is here but for its frames in shared memory. Loop thread.</summary>
    private void Relay(RelayedReply reply)
    {
        if (reply.Placed.Count == 0)
            _endpoint.Send(reply.Peer.Peer, reply.Message);
        else
            _loop.RunOnWorker(() => _memory.Copy(reply.Placed), error => Copied(reply, error));
    }

    private void Copied(RelayedReply reply, Exception? error)
    {
        if (error is not null)
            Fail(reply, error);
        else if (GiveBack(reply) is { } release)
            reply.Peer.Releasing.Add(release, reply);
        else
            reply.Message.Dispose(); // its client has been given up
    }

    /// <summary>Tells the client why its answer can't be passed on, and ends the lease.</summary>
    private void Fail(RelayedReply reply, Exception error)
    {
        reply.Message.Dispose();
        Reply(reply.Peer.Peer, reply.RequestId, ErrorReply.Of(error));
        GiveBack(reply);
    }

    /// <summary>Ends an answer's lease.</summary>
    /// <returns>The id of the request that does; null: it has none, or its connection has ended, and the lease with it.</returns>
    private ulong? GiveBack(RelayedReply reply)
    {
        if (reply.Lease == 0 || reply.Peer.Core is not { } core)
            return null;
        ulong id = reply.Peer.NextOurs();
        Ask(core, id, new ReleaseRequest([reply.Lease]));
        return id;
    }

    /// <summary>The core has ended a lease that it had until then: what was copied under it goes out.</summary>
    private void Deliver(GatewayPeer peer, in Prelude prelude, ReadOnlySpan<byte> header)
    {
        if (!peer.Releasing.Remove(prelude.RequestId, out RelayedReply? reply))
            return;
        if (prelude.Type == (ushort)MessageType.Ok)
        {
            _endpoint.Send(peer.Peer, reply.Message);
            return;
        }
        reply.Message.Dispose();
        Reply(peer.Peer, reply.RequestId, ErrorReply.Read(header.ToArray()));
    }
}

using System.Buffers;
using TransferQueue.Columns;
using TransferQueue.Protocol;
using TransferQueue.Records;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>Answers a request with an effect, and keeps the answer in case the request comes again.</summary>
    private void Finish(Call call, Reply reply)
    {
        ReadOnlyMemory<byte> header = reply.ToHeader();
        _calls.Remove((call.Client, call.RequestId));
        _answers.Finish(call.Client, call.RequestId, new RememberedAnswer((ushort)reply.Type, header));
        SendHeader(call.Connection, call.RequestId, reply.Type, header);
    }

    /// <summary>Answers a request with an effect that had none: if it comes again it is tried again.</summary>
    private void Fail(Call call, Exception error)
    {
        Drop(call);
        Fail(call.Connection, call.RequestId, error);
    }

    /// <summary>Forgets a request that had no effect.</summary>
    private void Drop(Call call)
    {
        _calls.Remove((call.Client, call.RequestId));
        _answers.Drop(call.Client, call.RequestId);
    }

    private void Fail(ServerConnection connection, ulong requestId, Exception error)
    {
        if (error is not TransferQueueException)
            CoreLog.Fault(error);
        _counters.Error();
        Send(connection, requestId, ErrorReply.Of(error));
    }

    private MetaReply Batch(BatchMeta meta, MessageType type = MessageType.Meta)
    {
        _meter.Rows(type, meta.Size);
        return new(BatchMetaCodec.Pack(meta));
    }

    private void Send(ServerConnection connection, ulong requestId, Reply reply)
    {
        OutgoingMessage message = Loop.RentMessage();
        reply.WriteHeader(message.Header);
        SendHeader(connection, requestId, reply.Type, message);
    }

    private void SendHeader(ServerConnection connection, ulong requestId, MessageType type, ReadOnlyMemory<byte> header)
    {
        OutgoingMessage message = Loop.RentMessage();
        message.Header.Write(header.Span);
        SendHeader(connection, requestId, type, message);
    }

    private void SendHeader(ServerConnection connection, ulong requestId, MessageType type, OutgoingMessage message)
    {
        if (message.Header.Length > _limits.HeaderBytes)
        {
            // The client would have to end the connection.
            var refusal = new LimitExceededException(
                $"core: the answer has {message.Header.Length} bytes, a header may have {_limits.HeaderBytes}; a change that was asked for was made; ask for fewer rows at once");
            message.Clear();
            ErrorReply.Of(refusal).WriteHeader(message.Header);
            type = MessageType.Error;
            _counters.Error();
        }
        _meter.Answer(connection, requestId, type == MessageType.Error);
        message.Seal(Prelude.Create((ushort)type, requestId));
        connection.Send(message);
    }
}

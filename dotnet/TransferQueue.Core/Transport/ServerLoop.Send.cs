using TransferQueue.Memory.Native;

namespace TransferQueue.Transport;

/// <summary>How messages go out.</summary>
internal sealed unsafe partial class ServerLoop
{
    /// <summary>A message of more bytes is sent by a mover.</summary>
    private const long LoopSendBytes = 256 << 10;

    private const int MostSpareMessages = 1024;

    internal void Send(ServerConnection connection, OutgoingMessage message)
    {
        if (!message.IsSealed)
            throw new InvalidOperationException("a message that was not sealed can't be sent");
        // The first one may be with the kernel already without the loop having heard of it from its mover.
        long behindFirst = connection.Outgoing.TryPeek(out OutgoingMessage? first) ? connection.PendingBytes - first.TotalBytes : 0;
        connection.Outgoing.Enqueue(message);
        if (connection.IsGone)
        {
            DropLater(connection);
            return;
        }
        bool isOver = behindFirst > _options.MostPendingBytes || connection.Outgoing.Count > _options.MostPendingMessages;
        connection.PendingBytes += message.TotalBytes;
        if (isOver)
            End(connection, $"it doesn't read its replies: {connection.PendingBytes} bytes in {connection.Outgoing.Count} messages are waiting");
        else
            MarkDirty(connection);
    }

    private void MarkDirty(ServerConnection connection)
    {
        if (connection.IsDirty)
            return;
        connection.IsDirty = true;
        _dirty.Add(connection);
    }

    /// <summary>Completions come after the call that sent, also for a connection that is gone.</summary>
    private void DropLater(ServerConnection connection) => Post(() =>
    {
        while (connection.Outgoing.TryDequeue(out OutgoingMessage? message))
            Complete(message, false);
    });

    /// <summary>Sends until nothing is queued, the kernel takes no more, or a mover takes over.</summary>
    private void Flush(ServerConnection connection)
    {
        Queue<OutgoingMessage> queue = connection.Outgoing;
        while (!connection.IsSending && !connection.IsWriteBlocked && !connection.IsEnded)
        {
            if (!queue.TryPeek(out OutgoingMessage? first))
            {
                if (connection.IsClosing)
                    End(connection, connection.EndReason!);
                return;
            }
            if (first.RemainingBytes > LoopSendBytes)
            {
                StartSend(connection, first);
                return;
            }
            WriteCalls++;
            long sent = SocketIO.Send(connection.Fd, queue, LoopSendBytes);
            if (sent == SocketIO.WouldBlock)
                SetWriteBlocked(connection, true);
            else if (sent < 0)
                End(connection, Errno.ToException("connection", (int)-sent).Message);
            else
                CompleteSent(connection);
        }
    }

    private void CompleteSent(ServerConnection connection)
    {
        while (connection.Outgoing.TryPeek(out OutgoingMessage? first) && first.RemainingBytes == 0)
        {
            connection.Outgoing.Dequeue();
            connection.PendingBytes -= first.TotalBytes;
            Complete(first, true);
        }
    }

    private void Complete(OutgoingMessage message, bool isSent)
    {
        try
        {
            message.Completed?.Invoke(message, isSent);
        }
#pragma warning disable CA1031 // the loop must outlive its handler's faults
        catch (Exception e)
#pragma warning restore CA1031
        {
            NoteFault(e);
        }
        message.Clear();
        if (_spareMessages.Count < MostSpareMessages)
            _spareMessages.Push(message);
    }

    private void StartSend(ServerConnection connection, OutgoingMessage message)
    {
        connection.IsSending = true;
        connection.SendJob.Message = message;
        MoverOf(connection).Submit(connection.SendJob);
    }

    private void SendMoved(MoveJob job)
    {
        ServerConnection connection = job.Connection;
        connection.IsSending = false;
        job.Message = null;
        if (job.Failure is { } failure)
            End(connection, failure);
        if (connection.IsEnded)
        {
            BuryWhenIdle(connection);
            return;
        }
        CompleteSent(connection);
        Flush(connection);
    }

    private void SetWriteBlocked(ServerConnection connection, bool isBlocked)
    {
        connection.IsWriteBlocked = isBlocked;
        SetInterest(connection, isBlocked ? connection.Interest | EpollEvents.Write : connection.Interest & ~EpollEvents.Write);
    }
}

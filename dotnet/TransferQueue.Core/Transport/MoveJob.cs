namespace TransferQueue.Transport;

/// <summary>Payload of one connection in one direction that a <see cref="PayloadMover"/> moves. Each connection has two, for all its life.</summary>
/// <remarks>Belongs to the mover from <see cref="PayloadMover.Submit"/> until it is handed back to the loop; the hand-overs go through locks.</remarks>
internal sealed class MoveJob(ServerConnection connection, bool isReceive)
{
    /// <summary>Whose bytes.</summary>
    public ServerConnection Connection => connection;

    /// <summary>Into the plan of the payload; else out of <see cref="Message"/>.</summary>
    public bool IsReceive => isReceive;

    /// <summary>What is sent; the connection's queue is not the mover's to look at.</summary>
    public OutgoingMessage? Message { get; set; }

    /// <summary>Why it ended early; null when all bytes were moved.</summary>
    public string? Failure { get; set; }

    /// <summary>The mover has it.</summary>
    public bool IsInMover { get; set; }

    /// <summary>The mover's epoll will tell when to go on.</summary>
    public bool IsWaiting { get; set; }
}

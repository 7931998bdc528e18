using System.Collections.Concurrent;

namespace TransferQueue.Client;

/// <summary>Messages to use again: their buffers are pinned, which is dear to make. Thread-safe.</summary>
internal static class MessagePool
{
    private const int MostKept = 256;

    private static readonly ConcurrentStack<RequestMessage> Kept = new();

    /// <summary>An empty message.</summary>
    public static RequestMessage Rent() => Kept.TryPop(out RequestMessage? message) ? message : new RequestMessage();

    /// <summary>Empties a message that nobody uses any more.</summary>
    public static void Return(RequestMessage message)
    {
        message.Clear();
        if (Kept.Count < MostKept)
            Kept.Push(message);
    }
}

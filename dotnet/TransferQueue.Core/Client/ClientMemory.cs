using TransferQueue.Memory;

namespace TransferQueue.Client;

/// <summary>The buffers of all clients of this process: replies, and requests that are on their way.</summary>
internal static class ClientMemory
{
    /// <summary>Bytes that are kept for the next reply: touching fresh memory costs many times a copy.</summary>
    private const long MostKeptBytes = 1L << 30;

    /// <summary>The pool.</summary>
    public static NativeBufferPool Pool { get; } = new(MostKeptBytes);
}

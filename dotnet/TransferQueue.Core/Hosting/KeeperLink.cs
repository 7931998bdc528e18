using TransferQueue.Memory;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <summary>Hands duplicates of the memory's file descriptors to the keeper, which outlives the core. Loop thread only.</summary>
/// <param name="fd">The socket to the keeper; −1: none.</param>
internal sealed class KeeperLink(int fd)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Hands over one segment; the message is its number and its length, 16 bytes.</summary>
    public void Keep(ArenaSegment segment)
    {
        if (fd < 0)
            return;
        Span<byte> text = stackalloc byte[2 * sizeof(long)];
        BitConverter.TryWriteBytes(text, (long)segment.Number);
        BitConverter.TryWriteBytes(text[sizeof(long)..], segment.Length);
        try
        {
            FdPassing.Send(fd, text, [segment.Fd], Patience);
        }
        catch (TransferQueueException error)
        {
            CoreLog.Note($"the keeper did not take segment {segment.Number}: {error.Message}");
        }
    }
}

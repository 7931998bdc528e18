using TransferQueue.Memory;

namespace TransferQueue.Interop;

/// <summary>What Python's reply structure points to: the header as it was received, and a table of the frames.</summary>
internal sealed class ReplyHead(NativeBuffer header, NativeBlock? table) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        header.Dispose();
        table?.Dispose();
    }
}

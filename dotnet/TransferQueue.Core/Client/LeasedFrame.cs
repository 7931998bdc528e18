using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Client;

/// <summary>
/// A frame of an answer that lies in shared memory, seen through the copy-on-write map. Its holder may write to it; its pages are its own
/// until <see cref="Dispose"/>, which drops those that were written, and only then lets others, and the core, have them.
/// </summary>
/// <remarks>Any thread; the second Dispose does nothing.</remarks>
internal sealed unsafe class LeasedFrame : IDisposable
{
    private readonly SharedMemory _memory;
    private readonly ViewLease _lease;
    private readonly MappedSegment _segment;
    private readonly ulong _place;
    private readonly long _length;
    private int _isDisposed;

    /// <summary>Takes a stretch whose pages are in <see cref="SharedMemory.Views"/> for it.</summary>
    public LeasedFrame(SharedMemory memory, ViewLease lease, MappedSegment segment, ulong place, long length)
    {
        (_memory, _lease, _segment, _place, _length) = (memory, lease, segment, place, length);
        memory.Hold();
        lease.Hold();
    }

    /// <summary>Where it is.</summary>
    public NativeSegment Bytes => NativeSegment.At(_segment.Views + FramePlace.Offset(_place), _length);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
            return;
        try
        {
            (long first, long count) = LiveViews.PagesOf(_place, _length);
            PageDropper.Drop(_segment.Views + first * Arena.PageBytes, count * Arena.PageBytes);
            _memory.Views.Remove(_place, _length);
        }
        finally
        {
            // Where dropping failed the pages stay taken: later frames there are copied.
            _lease.Release();
            _memory.Release();
        }
    }
}

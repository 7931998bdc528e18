using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>An eventfd that wakes a thread out of its epoll. <see cref="Signal"/> from any thread, <see cref="Clear"/> by the woken one.</summary>
internal sealed unsafe class EventFd : IDisposable
{
    /// <summary>The fd; −1 after the end.</summary>
    public int Fd { get; private set; } =
        Errno.Check(LibcSockets.eventfd(0, LibcSockets.EFD_NONBLOCK | LibcSockets.EFD_CLOEXEC), "eventfd: creating");

    /// <summary>Makes the fd readable.</summary>
    public void Signal()
    {
        ulong one = 1;
        _ = LibcSockets.write(Fd, &one, sizeof(ulong)); // it can fail only when it is readable anyway
    }

    /// <summary>Makes the fd unreadable.</summary>
    public void Clear()
    {
        ulong count;
        _ = LibcSockets.read(Fd, &count, sizeof(ulong));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Fd >= 0)
            _ = Libc.close(Fd);
        Fd = -1;
    }
}

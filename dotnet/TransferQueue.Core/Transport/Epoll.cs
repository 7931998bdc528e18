using System.Runtime.InteropServices;
using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>What an <see cref="Epoll"/> waits for and tells (epoll_ctl(2)).</summary>
[Flags]
internal enum EpollEvents : uint
{
    None = 0,
    Read = 0x1,
    Write = 0x4,
    Error = 0x8,
    HangUp = 0x10,
    PeerEnded = 0x2000,
    OneShot = 1u << 30,
    EdgeTriggered = 1u << 31,
}

/// <summary>
/// An epoll instance and room for its events. One thread waits; fds are added, changed and removed from any thread.
/// </summary>
internal sealed unsafe class Epoll : IDisposable
{
    private const int MostEvents = 256;

    /// <summary>epoll_event is packed on x86-64 only: 4 bytes of flags, then 8 of ours.</summary>
    private static readonly int Stride = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
    private static readonly int KeyOffset = Stride - 8;

    private readonly byte* _events = (byte*)NativeMemory.Alloc((nuint)(MostEvents * 16));
    private int _fd = Errno.Check(LibcSockets.epoll_create1(LibcSockets.EPOLL_CLOEXEC), "epoll: creating");

    /// <summary>Adds an fd; <paramref name="key"/> comes back with its events.</summary>
    public void Add(int fd, EpollEvents events, long key) => Control(LibcSockets.EPOLL_CTL_ADD, fd, events, key);

    /// <summary>Changes what is waited for, and tells at once what is there already.</summary>
    public void Change(int fd, EpollEvents events, long key) => Control(LibcSockets.EPOLL_CTL_MOD, fd, events, key);

    /// <summary>Removes an fd.</summary>
    public void Remove(int fd) => Control(LibcSockets.EPOLL_CTL_DEL, fd, EpollEvents.None, 0);

    /// <summary>Waits for events.</summary>
    /// <param name="milliseconds">How long; −1: for ever.</param>
    /// <returns>Their number; 0 also when a signal came.</returns>
    public int Wait(int milliseconds)
    {
        int count = LibcSockets.epoll_wait(_fd, _events, MostEvents, milliseconds);
        return count < 0 && Errno.Last == Errno.EINTR ? 0 : Errno.Check(count, "epoll: waiting");
    }

    /// <summary>Event <paramref name="index"/> of the last wait.</summary>
    public (EpollEvents Events, long Key) this[int index]
    {
        get
        {
            byte* at = _events + index * Stride;
            return (*(EpollEvents*)at, Marshal.ReadInt64((nint)at, KeyOffset));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_fd < 0)
            return;
        _ = Libc.close(_fd);
        _fd = -1;
        NativeMemory.Free(_events);
    }

    private void Control(int operation, int fd, EpollEvents events, long key)
    {
        byte* what = stackalloc byte[16];
        *(EpollEvents*)what = events;
        Marshal.WriteInt64((nint)what, KeyOffset, key);
        Errno.Check(LibcSockets.epoll_ctl(_fd, operation, fd, what), "epoll: changing an fd");
    }
}

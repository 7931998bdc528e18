using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>A pipe that tells when nobody has its write end any more: whoever inherits that end keeps something alive. On the loop's thread.</summary>
internal sealed unsafe class EndPipe
{
    private readonly int _readFd;
    private IDisposable? _watch;
    private Action? _ended;

    private EndPipe(int readFd, int writeFd) => (_readFd, WriteFd) = (readFd, writeFd);

    /// <summary>The end to be given away; this process closes its own with <see cref="CloseWriteEnd"/>. −1 after that.</summary>
    public int WriteFd { get; private set; }

    /// <summary>Makes a pipe, close-on-exec and non-blocking.</summary>
    /// <exception cref="TransferQueueException">There are no more fds.</exception>
    public static EndPipe Create()
    {
        int* ends = stackalloc int[2];
        Errno.Check(LibcPipes.pipe2(ends, LibcSockets.O_CLOEXEC | LibcSockets.O_NONBLOCK), "pin: making a pipe");
        return new EndPipe(ends[0], ends[1]);
    }

    /// <summary>Begins to wait for the end. Once.</summary>
    public void Watch(ServerLoop loop, Action ended)
    {
        _ended = ended;
        _watch = loop.Watch(_readFd, Read);
    }

    /// <summary>Closes this process' write end: it was sent, or never will be.</summary>
    public void CloseWriteEnd()
    {
        if (WriteFd >= 0)
            _ = Libc.close(WriteFd);
        WriteFd = -1;
    }

    private void Read()
    {
        byte* bytes = stackalloc byte[512];
        if (LibcPipes.read(_readFd, bytes, 512) != 0)
            return; // somebody wrote to it, which means nothing
        _watch?.Dispose();
        _ = Libc.close(_readFd);
        _ended?.Invoke();
    }
}

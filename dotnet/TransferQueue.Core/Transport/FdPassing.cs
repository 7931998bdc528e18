using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>Hands open files to another process over a Unix socket (unix(7), SCM_RIGHTS). Stateless; any thread.</summary>
internal static unsafe class FdPassing
{
    /// <summary>Files per message: the kernel's own limit.</summary>
    public const int MostFds = 253;

    private static readonly int HeadBytes = sizeof(cmsghdr);

    /// <summary>Sends bytes and duplicates of files; the caller keeps its own. Waits at most <paramref name="timeout"/> for room.</summary>
    /// <param name="socket">A connected Unix socket.</param>
    /// <param name="bytes">At least one.</param>
    /// <param name="fds">At most <see cref="MostFds"/>.</param>
    /// <param name="timeout">How long to wait.</param>
    /// <exception cref="ConnectionLostException">The other side is gone.</exception>
    /// <exception cref="DeadlineExceededException">There was no room in time.</exception>
    public static void Send(int socket, ReadOnlySpan<byte> bytes, ReadOnlySpan<int> fds, TimeSpan timeout)
    {
        if (bytes.IsEmpty || fds.Length > MostFds)
            throw new InvalidArgumentException($"passing files: {fds.Length} files with {bytes.Length} bytes; at most {MostFds} files and at least 1 byte");
        byte* control = stackalloc byte[ControlBytes(MostFds)];
        fixed (byte* first = bytes)
        {
            iovec part = new() { iov_base = first, iov_len = (nuint)bytes.Length };
            msghdr message = new() { msg_iov = &part, msg_iovlen = 1 };
            if (!fds.IsEmpty)
                WriteControl(ref message, control, fds);
            while (true)
            {
                nint sent = LibcSockets.sendmsg(socket, &message, LibcSockets.MSG_DONTWAIT | LibcSockets.MSG_NOSIGNAL);
                if (sent == bytes.Length)
                    return;
                Retry(sent, socket, isSend: true, timeout);
            }
        }
    }

    /// <summary>Receives bytes and files that came with them; the files are the caller's, close-on-exec.</summary>
    /// <param name="socket">A connected Unix socket.</param>
    /// <param name="bytes">Room for the bytes.</param>
    /// <param name="fds">Room for <see cref="MostFds"/> files.</param>
    /// <param name="fdCount">Files that came.</param>
    /// <param name="timeout">How long to wait.</param>
    /// <returns>Bytes that came.</returns>
    /// <exception cref="ConnectionLostException">The other side is gone.</exception>
    /// <exception cref="DeadlineExceededException">Nothing came in time.</exception>
    public static int Receive(int socket, Span<byte> bytes, Span<int> fds, out int fdCount, TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(fds.Length, MostFds);
        byte* control = stackalloc byte[ControlBytes(MostFds)];
        fixed (byte* first = bytes)
        {
            iovec part = new() { iov_base = first, iov_len = (nuint)bytes.Length };
            while (true)
            {
                msghdr message = new() { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = (nuint)ControlBytes(MostFds) };
                nint received = LibcSockets.recvmsg(socket, &message, LibcSockets.MSG_DONTWAIT | LibcSockets.MSG_CMSG_CLOEXEC);
                if (received == 0)
                    throw new ConnectionLostException("passing files: the other side closed the connection");
                if (received > 0)
                {
                    ReadOnlySpan<int> came = ReadControl(message);
                    came.CopyTo(fds);
                    fdCount = came.Length;
                    return (int)received;
                }
                Retry(received, socket, isSend: false, timeout);
            }
        }
    }

    /// <summary>Bytes of control data that hold so many files.</summary>
    internal static int ControlBytes(int fds) => (HeadBytes + fds * sizeof(int) + 7) & ~7;

    /// <summary>Makes a message carry duplicates of files.</summary>
    /// <param name="message">Gets the control data.</param>
    /// <param name="control">Room for <see cref="ControlBytes"/>, in place until the call.</param>
    /// <param name="fds">At least one.</param>
    internal static void WriteControl(ref msghdr message, byte* control, ReadOnlySpan<int> fds)
    {
        var head = (cmsghdr*)control;
        head->cmsg_len = (nuint)(HeadBytes + fds.Length * sizeof(int));
        head->cmsg_level = LibcSockets.SOL_SOCKET;
        head->cmsg_type = LibcSockets.SCM_RIGHTS;
        fds.CopyTo(new Span<int>(control + HeadBytes, fds.Length));
        message.msg_control = control;
        message.msg_controllen = (nuint)ControlBytes(fds.Length);
    }

    /// <summary>The files that came with a message; the receiver's own from now on.</summary>
    internal static ReadOnlySpan<int> ReadControl(in msghdr message)
    {
        var head = (cmsghdr*)message.msg_control;
        if (message.msg_controllen < (nuint)HeadBytes || head->cmsg_level != LibcSockets.SOL_SOCKET || head->cmsg_type != LibcSockets.SCM_RIGHTS)
            return [];
        return new ReadOnlySpan<int>((byte*)head + HeadBytes, ((int)head->cmsg_len - HeadBytes) / sizeof(int));
    }

    private static void Retry(nint result, int socket, bool isSend, TimeSpan timeout)
    {
        int errno = result < 0 ? Errno.Last : Errno.EPIPE;
        if (errno == Errno.EINTR)
            return;
        if (errno != Errno.EAGAIN)
            throw Errno.ToException("passing files", errno);
        if (!UnixSocket.Wait(socket, !isSend, isSend, (int)timeout.TotalMilliseconds))
            throw new DeadlineExceededException($"passing files: the other side was not ready within {timeout.TotalSeconds} s");
    }
}

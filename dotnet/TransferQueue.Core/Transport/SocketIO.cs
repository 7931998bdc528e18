using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using TransferQueue.Transport.Native;

namespace TransferQueue.Transport;

/// <summary>One attempt to move bytes over a non-blocking socket. Stateless; any thread, one per direction of a socket.</summary>
internal static unsafe class SocketIO
{
    /// <summary>Returned when the socket can't go on without waiting; another negative result −e says that it failed with errno e.</summary>
    public const long WouldBlock = -Errno.EAGAIN;

    /// <summary>Stretches of memory per call.</summary>
    private const int PartsPerCall = 64;

    /// <summary>Receives into one place.</summary>
    /// <returns>Bytes; 0: the peer ended; <see cref="WouldBlock"/> or −errno.</returns>
    public static long Receive(int fd, byte* target, long bytes)
    {
        while (true)
        {
            nint count = LibcSockets.recv(fd, target, (nuint)bytes, LibcSockets.MSG_DONTWAIT);
            if (count >= 0 || IsFinal(out count))
                return count;
        }
    }

    /// <summary>Receives into one place, and takes files that come along.</summary>
    /// <param name="fd">A Unix socket.</param>
    /// <param name="target">Room.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="mayWait">Wait for the first byte as long as the socket is set to (SO_RCVTIMEO) if it blocks; else not at all.</param>
    /// <param name="fds">Gets files, close-on-exec, the caller's. They were sent with the message that the last of the bytes belongs to, because the kernel
    /// ends a call behind bytes that files came with.</param>
    /// <returns>As <see cref="Receive(int, byte*, long)"/>.</returns>
    /// <exception cref="TransferQueueException">Files were lost because this process may not open more.</exception>
    public static long Receive(int fd, byte* target, long bytes, bool mayWait, List<int> fds)
    {
        byte* control = stackalloc byte[FdPassing.ControlBytes(FdPassing.MostFds)];
        iovec part = new() { iov_base = target, iov_len = (nuint)bytes };
        while (true)
        {
            msghdr header = new() { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = (nuint)FdPassing.ControlBytes(FdPassing.MostFds) };
            nint received = LibcSockets.recvmsg(fd, &header, LibcSockets.MSG_CMSG_CLOEXEC | (mayWait ? 0 : LibcSockets.MSG_DONTWAIT));
            if (received < 0 && !IsFinal(out received))
            {
                if (mayWait)
                    return WouldBlock; // a signal: its caller may have to look at it
                continue;
            }
            if (received > 0 && header.msg_controllen > 0)
                fds.AddRange(FdPassing.ReadControl(header));
            if (received > 0 && (header.msg_flags & LibcSockets.MSG_CTRUNC) != 0)
                throw new TransferQueueException(ErrorKind.TransferQueue, "connection: files that came with a message could not be opened; raise the limit of open files (ulimit -n)");
            return received;
        }
    }

    /// <summary>Receives the next bytes of a payload where its plan wants them, and notes it there.</summary>
    /// <returns>As <see cref="Receive(int, byte*, long)"/>.</returns>
    public static long Receive(int fd, ReceivePlan plan, long mostBytes)
    {
        Unsafe.SkipInit(out PartList parts);
        int count = 0;
        for (long listed = 0; count < PartsPerCall && listed < mostBytes; count++)
        {
            NativeSegment room = plan.Following(count);
            if (room.Length == 0)
                break;
            long length = Math.Min(room.Length, mostBytes - listed);
            parts[count].iov_base = room.Pointer;
            parts[count].iov_len = (nuint)length;
            listed += length;
        }
        long received = count == 1
            ? Receive(fd, (byte*)parts[0].iov_base, (long)parts[0].iov_len)
            : ReceiveParts(fd, (iovec*)Unsafe.AsPointer(ref parts), count);
        if (received > 0)
            plan.Advance(received);
        return received;
    }

    /// <summary>Sends the next bytes of a message, and notes it there.</summary>
    /// <returns>Bytes, <see cref="WouldBlock"/> or −errno.</returns>
    public static long Send(int fd, OutgoingMessage message, long mostBytes)
    {
        Unsafe.SkipInit(out PartList parts);
        int count = message.List(parts, mostBytes, out _);
        long sent = SendParts(fd, (iovec*)Unsafe.AsPointer(ref parts), count, message.HasFdsToSend ? message.Fds : null);
        if (sent > 0)
            _ = message.Advance(sent);
        return sent;
    }

    /// <summary>Sends several short messages in one call, and notes it in each.</summary>
    /// <param name="fd">The socket.</param>
    /// <param name="messages">Queued messages, the first one first.</param>
    /// <param name="longest">Only messages of at most this many remaining bytes are taken; the first one is taken in any case. A message with files goes alone:
    /// by that its receiver knows that they are its.</param>
    /// <returns>Bytes, <see cref="WouldBlock"/> or −errno.</returns>
    public static long Send(int fd, Queue<OutgoingMessage> messages, long longest)
    {
        Unsafe.SkipInit(out PartList parts);
        int count = 0;
        List<int>? fds = null;
        foreach (OutgoingMessage message in messages)
        {
            if (count > 0 && (count == PartsPerCall || message.RemainingBytes > longest || message.HasFdsToSend))
                break;
            count += message.List(((Span<iovec>)parts)[count..], longest, out _);
            if (!message.HasFdsToSend)
                continue;
            fds = message.Fds;
            break;
        }
        long sent = SendParts(fd, (iovec*)Unsafe.AsPointer(ref parts), count, fds);
        long left = sent;
        foreach (OutgoingMessage message in messages)
        {
            if (left <= 0)
                break;
            left = message.Advance(left);
        }
        return sent;
    }

    private static long ReceiveParts(int fd, iovec* parts, int count)
    {
        msghdr header = new() { msg_iov = parts, msg_iovlen = (nuint)count };
        while (true)
        {
            nint received = LibcSockets.recvmsg(fd, &header, LibcSockets.MSG_DONTWAIT);
            if (received >= 0 || IsFinal(out received))
                return received;
        }
    }

    private static long SendParts(int fd, iovec* parts, int count, List<int>? fds)
    {
        msghdr header = new() { msg_iov = parts, msg_iovlen = (nuint)count };
        byte* control = stackalloc byte[fds is null ? 0 : FdPassing.ControlBytes(fds.Count)];
        if (fds is not null)
            FdPassing.WriteControl(ref header, control, CollectionsMarshal.AsSpan(fds));
        while (true)
        {
            nint sent = LibcSockets.sendmsg(fd, &header, LibcSockets.MSG_DONTWAIT | LibcSockets.MSG_NOSIGNAL);
            if (sent >= 0 || IsFinal(out sent))
                return sent;
        }
    }

    /// <summary>What a failed call says: false if it was only interrupted.</summary>
    private static bool IsFinal(out nint result)
    {
        int errno = Errno.Last;
        result = errno == Errno.ENOBUFS ? (nint)WouldBlock : -errno;
        return errno != Errno.EINTR;
    }

    [InlineArray(PartsPerCall)]
    private struct PartList
    {
        private iovec _first;
    }
}

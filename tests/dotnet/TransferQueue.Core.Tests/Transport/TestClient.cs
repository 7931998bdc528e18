using TransferQueue.Memory;
using TransferQueue.Memory.Native;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Transport;

/// <summary>What tests do with a client's side: whole messages with patience, raw bytes, waiting for a condition.</summary>
internal static unsafe class TestClient
{
    public static OutgoingMessage Request(ushort type, ulong id, ReadOnlySpan<byte> header, params NativeBuffer[] frames)
    {
        var message = new OutgoingMessage();
        header.CopyTo(message.Header.GetSpan(header.Length));
        message.Header.Advance(header.Length);
        foreach (NativeBuffer frame in frames)
            message.AddFrame(frame.Segment);
        message.Seal(Prelude.Create(type, id));
        return message;
    }

    public static NativeBuffer Filled(NativeBufferPool pool, long bytes, int seed)
    {
        NativeBuffer buffer = pool.Rent(bytes);
        for (int at = 0; at < bytes; at += TileBytes)
            Tile(seed).AsSpan(0, (int)Math.Min(TileBytes, bytes - at)).CopyTo(buffer.Span[at..]);
        return buffer;
    }

    public static void AssertFilled(NativeBuffer? buffer, long bytes, int seed)
    {
        Assert.NotNull(buffer);
        Assert.Equal(bytes, buffer.Length);
        for (int at = 0; at < bytes; at += TileBytes)
        {
            int length = (int)Math.Min(TileBytes, bytes - at);
            Assert.True(buffer.Span.Slice(at, length).SequenceEqual(Tile(seed).AsSpan(0, length)), $"bytes from {at} of {bytes} are wrong");
        }
    }

    public static void Send(IMessageChannel channel, OutgoingMessage message)
    {
        for (int tries = 0; !channel.TrySend(message, 100); tries++)
            Assert.True(tries < 200, "not sent within 20 s");
    }

    public static IncomingMessage Receive(IMessageChannel channel)
    {
        var message = new IncomingMessage();
        for (int tries = 0; !channel.TryReceive(message, 100); tries++)
            Assert.True(tries < 200, "nothing received within 20 s");
        return message;
    }

    public static void SendRaw(int fd, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            nint sent;
            fixed (byte* first = bytes)
            {
                var message = new TransferQueue.Transport.Native.iovec { iov_base = first, iov_len = (nuint)bytes.Length };
                var header = new TransferQueue.Transport.Native.msghdr { msg_iov = &message, msg_iovlen = 1 };
                sent = TransferQueue.Transport.Native.LibcSockets.sendmsg(fd, &header, TransferQueue.Transport.Native.LibcSockets.MSG_NOSIGNAL);
            }
            if (sent > 0)
                bytes = bytes[(int)sent..];
            else if (Errno.Last == Errno.EAGAIN)
                UnixSocket.Wait(fd, false, true, 1000);
            else
                throw Errno.ToException("test");
        }
    }

    public static byte[] Bytes(in Prelude prelude)
    {
        byte[] bytes = new byte[Prelude.Bytes];
        prelude.CopyTo(bytes);
        return bytes;
    }

    /// <summary>Waits for what must come; the bound only ends a test that failed.</summary>
    public static void Until(Func<bool> condition, string what)
    {
        for (int i = 0; !condition(); i++)
        {
            Assert.True(i < 4000, $"not within 20 s: {what}");
            Thread.Sleep(5);
        }
    }

    /// <summary>Bytes of what repeats; odd, so that a shift by whole pages shows.</summary>
    private const int TileBytes = 65_521;

    private static readonly System.Collections.Concurrent.ConcurrentDictionary<int, byte[]> Tiles = new();

    private static byte[] Tile(int seed) => Tiles.GetOrAdd(seed, static seed =>
    {
        byte[] tile = new byte[TileBytes];
        new Random(seed).NextBytes(tile);
        return tile;
    });
}

using MessagePack;
using TransferQueue.Protocol;
using Xunit;

namespace TransferQueue.Tests.Protocol;

/// <summary>Whatever the bytes: a valid message or one of the wire's errors, and never much memory.</summary>
public sealed class HostileHeaderTests
{
    /// <summary>
    /// What reading a sample of some hundred bytes may allocate: an exception with its trace, and arrays bounded by the bytes.
    /// </summary>
    private const long MostBytes = 64 * 1024;

    [Fact]
    public void EveryCutHeaderIsRefused()
    {
        foreach (var (request, frames) in SampleMessages.Requests)
        {
            var header = request.ToHeader();
            for (int length = 0; length < header.Length; length++)
                Assert.ThrowsAny<ProtocolException>(() => Request.Read(1, (ushort)request.Type, header[..length], frames, ProtocolLimits.Default));
        }
        foreach (var (reply, read) in SampleMessages.Replies)
        {
            var header = reply.ToHeader();
            for (int length = 0; length < header.Length; length++)
                Assert.ThrowsAny<ProtocolException>(() => read(header[..length]));
        }
    }

    [Fact]
    public void AFlippedBitGivesAValidMessageOrAnErrorOfTheWire()
    {
        foreach (var (request, frames) in SampleMessages.Requests)
            FlipEveryBit(request.ToHeader(), header => Request.Read(1, (ushort)request.Type, header, frames, ProtocolLimits.Default).ToHeader());
        foreach (var (reply, read) in SampleMessages.Replies)
            FlipEveryBit(reply.ToHeader(), header => read(header).ToHeader());
    }

    [Fact]
    public void AReplacedByteGivesAValidMessageOrAnErrorOfTheWire()
    {
        byte[] replacements = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC4, 0xC6, 0xC9, 0xCA, 0xCF, 0xD3, 0xD4, 0xD8, 0xDB, 0xDD, 0xDF, 0xFF];
        foreach (var (request, frames) in SampleMessages.Requests)
        {
            var header = request.ToHeader();
            for (int at = 0; at < header.Length; at++)
            {
                foreach (byte replacement in replacements)
                {
                    var changed = header.ToArray();
                    changed[at] = replacement;
                    ReadsOrRefuses(() => Request.Read(1, (ushort)request.Type, changed, frames, ProtocolLimits.Default).ToHeader());
                }
            }
        }
    }

    [Fact]
    public void ManyChangesAtOnceGiveAValidMessageOrAnErrorOfTheWire()
    {
        // The seed is fixed, so that a failure comes again.
        var random = new Random(20260801);
        for (int round = 0; round < 20_000; round++)
        {
            var (request, frames) = SampleMessages.Requests[random.Next(SampleMessages.Requests.Count)];
            var changed = Mutated(request.ToHeader().Span, random);
            var type = random.Next(10) == 0 ? SampleMessages.Requests[random.Next(SampleMessages.Requests.Count)].Request.Type : request.Type;
            ReadsOrRefuses(() => Request.Read(1, (ushort)type, changed, type == MessageType.Put ? frames : [], ProtocolLimits.Default).ToHeader());
        }
    }

    [Fact]
    public void SomethingBehindTheHeaderIsRefused()
    {
        byte[] header = [.. PlainRequest.Ping.ToHeader().Span, 0xC0];
        var error = Assert.Throws<ProtocolException>(() => Request.Read(1, 2, header, [], ProtocolLimits.Default));
        Assert.Contains("1 bytes behind", error.Message);
    }

    [Fact]
    public void AnUnknownKeyIsRefusedByName()
    {
        var error = Refusal(MessageType.ClearPartition, (ref MessagePackWriter writer) =>
        {
            writer.WriteMapHeader(2);
            writer.Write("partition");
            writer.Write("train");
            writer.Write("colour");
            writer.Write(1);
        });
        Assert.Contains("'colour'", error.Message);
        Assert.Contains("known are partition", error.Message);
    }

    [Fact]
    public void AKeyThatComesTwiceIsRefused()
    {
        var error = Refusal(MessageType.ClearPartition, (ref MessagePackWriter writer) =>
        {
            writer.WriteMapHeader(2);
            writer.Write("partition");
            writer.Write("a");
            writer.Write("partition");
            writer.Write("b");
        });
        Assert.Contains("'partition': appears twice", error.Message);
    }

    [Fact]
    public void AWrongTypeIsRefusedByName()
    {
        var error = Refusal(MessageType.ClearPartition, (ref MessagePackWriter writer) =>
        {
            writer.WriteMapHeader(1);
            writer.Write("partition");
            writer.Write(12);
        });
        Assert.Contains("'partition': integer where a string belongs", error.Message);
    }

    [Fact]
    public void NilIsTheSameAsAbsent()
    {
        var error = Refusal(MessageType.ClearPartition, (ref MessagePackWriter writer) =>
        {
            writer.WriteMapHeader(1);
            writer.Write("partition");
            writer.WriteNil();
        });
        Assert.Contains("'partition' is missing", error.Message);
    }

    [Theory]
    [InlineData(0x80, 0xA1, 0xFF)]
    [InlineData(0x80, 0xED, 0xA0)]
    public void AStringThatIsNoUtf8IsRefused(byte first, byte second, byte third)
    {
        var error = Refusal(MessageType.ClearPartition, (ref MessagePackWriter writer) =>
        {
            writer.WriteMapHeader(1);
            writer.Write("partition");
            writer.WriteString(new byte[] { first, second, third });
        });
        Assert.Contains("no UTF-8", error.Message);
    }

    [Fact]
    public void DeepNestingIsRefusedWithoutRecursion()
    {
        byte[] header = [0x81, 0xA1, (byte)'x', .. Enumerable.Repeat((byte)0x91, 5_000_000), 0xC0];
        Assert.Throws<LimitExceededException>(() => Request.Read(1, 2, header, [], ProtocolLimits.Default));
    }

    /// <summary>Bytes replaced, taken out, put in, or a stretch of them said twice: one to eight times.</summary>
    private static byte[] Mutated(ReadOnlySpan<byte> header, Random random)
    {
        List<byte> bytes = [.. header];
        for (int change = random.Next(1, 9); change > 0 && bytes.Count > 0; change--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(4))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes.RemoveAt(at);
                    break;
                case 2:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                default:
                    bytes.InsertRange(random.Next(bytes.Count), bytes.GetRange(at, random.Next(bytes.Count - at)));
                    break;
            }
        }
        return [.. bytes];
    }

    private static void FlipEveryBit(ReadOnlyMemory<byte> header, Action<ReadOnlyMemory<byte>> read)
    {
        for (int bit = 0; bit < header.Length * 8; bit++)
        {
            var flipped = header.ToArray();
            flipped[bit / 8] ^= (byte)(1 << bit % 8);
            ReadsOrRefuses(() => read(flipped));
        }
    }

    private static void ReadsOrRefuses(Action read)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            read();
        }
        catch (TransferQueueException error) when (error.Kind is ErrorKind.Protocol or ErrorKind.LimitExceeded)
        {
        }
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostBytes);
    }

    private static TransferQueueException Refusal(MessageType type, WriteHeader write)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        write(ref writer);
        writer.Flush();
        return Assert.ThrowsAny<TransferQueueException>(() => Request.Read(1, (ushort)type, buffer.WrittenMemory, [], ProtocolLimits.Default));
    }

    private delegate void WriteHeader(ref MessagePackWriter writer);
}

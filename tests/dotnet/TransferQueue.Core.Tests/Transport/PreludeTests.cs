using System.Buffers.Binary;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Transport;

public sealed class PreludeTests
{
    private static readonly TransportLimits Limits = new() { HeaderBytes = 1000, Frames = 4, FrameBytes = 5000, PayloadBytes = 9000 };

    [Fact]
    public void FieldsLieWhereTheWireSays()
    {
        (string Name, int Offset, int Bytes)[] expected =
        [
            ("Magic", 0, 4), ("Version", 4, 2), ("Type", 6, 2), ("RequestId", 8, 8), ("Acknowledged", 16, 8), ("TimeoutMilliseconds", 24, 4),
            ("HeaderBytes", 28, 4), ("FrameCount", 32, 4), ("Flags", 36, 4), ("PayloadBytes", 40, 8),
        ];
        var actual = typeof(Prelude).GetFields(BindingFlags.Instance | BindingFlags.NonPublic)
            .Select(f => (f.Name[1..f.Name.IndexOf('>', StringComparison.Ordinal)], (int)Marshal.OffsetOf<Prelude>(f.Name), Marshal.SizeOf(f.FieldType.IsEnum ? f.FieldType.GetEnumUnderlyingType() : f.FieldType)));
        Assert.Equal(expected, actual);
        Assert.Equal(Prelude.Bytes, Unsafe.SizeOf<Prelude>());
    }

    [Fact]
    public void TheBytesAreThoseOfTheWire()
    {
        byte[] bytes = new byte[Prelude.Bytes];
        (Prelude.Create(0x0B0A, 0x1807060504030201) with
        {
            Acknowledged = 2,
            TimeoutMilliseconds = 3,
            HeaderBytes = 4,
            FrameCount = 5,
            Flags = (PreludeFlags)6,
            PayloadBytes = 7,
        }).CopyTo(bytes);
        Assert.Equal(
            "54514E31" + "0100" + "0A0B" + "0102030405060718" + "0200000000000000" + "03000000" + "04000000" + "05000000" + "06000000" + "0700000000000000",
            Convert.ToHexString(bytes));
    }

    [Fact]
    public void WritingAndReadingGivesTheSame() => Prop.ForAll(ArrayOfBytes(Prelude.Bytes), bytes =>
    {
        Prelude prelude = Prelude.Read(bytes);
        byte[] written = new byte[Prelude.Bytes];
        prelude.CopyTo(written);
        Assert.Equal(bytes, written);
        Assert.True(MemoryMarshal.AsBytes([prelude]).SequenceEqual(bytes)); // the layout in memory is that of the wire
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void NothingThatPassesTheCheckIsOverALimit()
    {
        Gen<uint> small = Gen.Choose(0, 1100).Select(n => (uint)n);
        var preludes = from header in small
                       from frames in Gen.Choose(0, 6)
                       from payload in Gen.Choose(0, 10_000)
                       from id in Gen.Choose(0, 3)
                       select Prelude.Create(2, (ulong)id) with { HeaderBytes = header, FrameCount = (uint)frames, PayloadBytes = (ulong)payload };
        Prop.ForAll(preludes.ToArbitrary(), p =>
        {
            bool isFine = p.HeaderBytes <= 1000 && p.FrameCount <= 4 && p.PayloadBytes <= 9000 && p.RequestId > 0 && (p.FrameCount > 0 || p.PayloadBytes == 0);
            Assert.Equal(isFine, p.Check(Limits) is null);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void EachFaultHasItsKind()
    {
        Prelude fine = Prelude.Create(2, 1);
        Assert.Null(fine.Check(Limits));
        Assert.IsType<ProtocolException>((fine with { Magic = 0x20544547 }).Check(Limits));
        var version = Assert.IsType<ProtocolVersionException>((fine with { Version = 7 }).Check(Limits));
        Assert.Contains("version 7", version.Message);
        Assert.Contains("speaks 1", version.Message);
        Assert.IsType<ProtocolException>((fine with { Flags = (PreludeFlags)4 }).Check(Limits));
        Assert.IsType<LimitExceededException>((fine with { HeaderBytes = uint.MaxValue }).Check(Limits));
        Assert.IsType<LimitExceededException>((fine with { FrameCount = uint.MaxValue }).Check(Limits));
        Assert.IsType<LimitExceededException>((fine with { FrameCount = 1, PayloadBytes = ulong.MaxValue }).Check(Limits));
    }

    [Theory]
    [InlineData(100, new ulong[] { 50, 50 }, true)]
    [InlineData(100, new ulong[] { 50, 49 }, false)]
    [InlineData(100, new ulong[] { 50, 51 }, false)]
    [InlineData(100, new ulong[] { 101, ulong.MaxValue }, false)] // the sum overflows to 100
    [InlineData(0, new ulong[] { 0, 0, 0 }, true)]
    public void FrameLengthsMustAddUpToThePayload(ulong payload, ulong[] lengths, bool isFine)
    {
        Prelude prelude = Prelude.Create(2, 1) with { FrameCount = (uint)lengths.Length, PayloadBytes = payload };
        Assert.Equal(isFine, prelude.CheckFrames(lengths, [], new TransportLimits { FrameBytes = long.MaxValue }) is null);
    }

    [Fact]
    public void AFrameOverItsLimitIsRefused()
    {
        Prelude prelude = Prelude.Create(2, 1) with { FrameCount = 1, PayloadBytes = 5001 };
        Assert.IsType<LimitExceededException>(prelude.CheckFrames([5001], [], Limits));
    }

    [Fact]
    public void AHeadCutAnywhereIsCollectedTheSame() => Prop.ForAll(
        (from lengths in Gen.ArrayOf(Gen.Choose(0, 100)) from header in Gen.Choose(0, 900) from cuts in Gen.ArrayOf(Gen.Choose(1, 200)) select (lengths, header, cuts)).ToArbitrary(),
        given =>
        {
            int[] lengths = [.. given.lengths.Take(4)];
            byte[] message = Build(lengths, given.header);
            byte[] stream = [.. message, .. message, 0x54];
            var collector = new MessageHead();
            int heads = 0;
            int cut = 0;
            for (int at = 0; at < stream.Length;)
            {
                int piece = Math.Min(stream.Length - at, given.cuts.Length == 0 ? stream.Length : given.cuts[cut++ % given.cuts.Length]);
                ReadOnlySpan<byte> bytes = stream.AsSpan(at, piece);
                at += piece;
                while (!bytes.IsEmpty)
                    if (collector.Take(ref bytes, Limits, out var error, out var head))
                    {
                        Assert.Equal(message, head.ToArray());
                        heads++;
                        collector.Clear();
                    }
                    else
                        Assert.Null(error);
            }
            Assert.Equal(2, heads);
        }).QuickCheckThrowOnFailure();

    private static byte[] Build(int[] lengths, int headerBytes)
    {
        byte[] message = new byte[Prelude.Bytes + lengths.Length * 8 + headerBytes];
        new Random(headerBytes).NextBytes(message);
        (Prelude.Create(3, 9) with { FrameCount = (uint)lengths.Length, PayloadBytes = (ulong)lengths.Sum(), HeaderBytes = (uint)headerBytes }).CopyTo(message);
        for (int i = 0; i < lengths.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(message.AsSpan(Prelude.Bytes + i * 8), (ulong)lengths[i]);
        return message;
    }

    private static Arbitrary<byte[]> ArrayOfBytes(int count) =>
        Gen.Choose(0, 255).Select(b => (byte)b).ArrayOf(count).ToArbitrary();
}

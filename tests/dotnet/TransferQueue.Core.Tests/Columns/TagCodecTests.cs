using System.Buffers;
using FsCheck;
using FsCheck.Fluent;
using MessagePack;
using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Columns;

public sealed class TagCodecTests
{
    [Fact]
    public void MergesLikeADictionary() => Prop.ForAll(TagGen.Two().ToArbitrary(), tags =>
    {
        var (old, update) = tags;
        var model = new OrderedDictionary<string, int>();
        foreach (var (key, value) in old.Concat(update))
            model[key] = value;
        var merged = TagCodec.Merge(Pack(old), Pack(update));
        Assert.Equal(merged.Length, TagCodec.Measure(merged));
        Assert.Equal(model.ToList(), Unpack(merged));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void ManyEntriesMergeInPlaceToo()
    {
        var old = Enumerable.Range(0, 70_000).Select(i => KeyValuePair.Create($"k{i}", i)).ToList();
        var merged = Unpack(TagCodec.Merge(Pack(old), Pack([new("k69999", -1), new("new", -2), new("k0", -3)])));
        Assert.Equal(70_001, merged.Count);
        Assert.Equal([new("k0", -3), new("k69999", -1), new("new", -2)], [merged[0], merged[69_999], merged[70_000]]);
    }

    [Fact]
    public void AKeyIsItsContentWhateverItsHeader()
    {
        byte[] fixedLength = [0x81, 0xA1, (byte)'a', 1];
        byte[] longHeader = [0x81, 0xDB, 0, 0, 0, 1, (byte)'a', 2];
        Assert.Equal(longHeader, TagCodec.Merge(fixedLength, longHeader));
    }

    [Fact]
    public void SplitsAConcatenationIntoItsTags() => Prop.ForAll(Gen.ListOf(TagGen).ToArbitrary(), tags =>
    {
        var packed = tags.Select(Pack).ToList();
        var offsets = TagCodec.Split(packed.SelectMany(tag => tag).ToArray(), packed.Count);
        Assert.Equal(packed.Select(tag => tag.Length), offsets.Zip(offsets.Skip(1), (start, end) => end - start));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void FindsTheValueOfAKey()
    {
        var tag = Pack([new("a", 1), new("bb", 300)]);
        Assert.True(TagCodec.TryFind(tag, "bb"u8, out var value));
        Assert.Equal([0xCD, 1, 0x2C], value.ToArray());
        Assert.False(TagCodec.TryFind(tag, "b"u8, out _));
    }

    [Theory]
    [InlineData(new byte[] { 0x90 })]
    [InlineData(new byte[] { 0x81, 1, 1 })]
    [InlineData(new byte[] { 0x81, 0xA1, (byte)'a' })]
    [InlineData(new byte[] { 0xDF, 0xFF, 0xFF, 0xFF, 0xFF })]
    [InlineData(new byte[] { 0x81, 0xA1, (byte)'a', 0xC1 })]
    [InlineData(new byte[] { 0x81, 0xA1, (byte)'a', 0xD4, 100, 0 })]
    [InlineData(new byte[] { 0x81, 0xA1, (byte)'a', 0xC6, 0xFF, 0xFF, 0xFF, 0xFF })]
    [InlineData(new byte[] { 0x80, 0x80 })]
    [InlineData(new byte[] { })]
    public void RefusesWhatIsNotOneMapWithStringKeys(byte[] bytes) =>
        Assert.Throws<ProtocolException>(() => TagCodec.Split(bytes, 1));

    [Fact]
    public void RefusesDeepNestingAndTakesWhatIsJustDeepEnough()
    {
        byte[] Nested(int depth) => [0x81, 0xA1, (byte)'a', .. Enumerable.Repeat((byte)0x91, depth - 1), 0xC0];
        Assert.Equal(35, TagCodec.Measure(Nested(PackedValue.MaxNesting)));
        Assert.Throws<LimitExceededException>(() => TagCodec.Measure(Nested(PackedValue.MaxNesting + 1)));
        Assert.Throws<LimitExceededException>(() => TagCodec.Measure(Nested(1_000_000)));
    }

    [Fact]
    public void RefusesMoreRowsThanBytesWithoutAllocatingThem()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<ProtocolException>(() => TagCodec.Split([0x80], 1 << 24));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Fact]
    public void MeasuresEveryKindOfValueAsTheReaderDoes()
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteMapHeader(12);
        foreach (var value in Values())
        {
            writer.Write($"key {value.Length} with more than 31 bytes in it");
            writer.WriteRaw(value);
        }
        writer.Flush();
        Assert.Equal(buffer.WrittenCount, TagCodec.Measure(buffer.WrittenSpan));
    }

    internal static Gen<List<KeyValuePair<string, int>>> TagGen =>
        from keys in Gen.ListOf(Gen.Choose(0, 25))
        from values in Gen.ListOf(Gen.Choose(-70_000, 70_000), keys.Count)
        select keys.Distinct().Zip(values, (key, value) => KeyValuePair.Create(new string('é', key % 20) + key, value)).ToList();

    internal static byte[] Pack(IReadOnlyList<KeyValuePair<string, int>> tag)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteMapHeader(tag.Count);
        foreach (var (key, value) in tag)
        {
            writer.Write(key);
            writer.Write(value);
        }
        writer.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    private static List<KeyValuePair<string, int>> Unpack(byte[] tag)
    {
        var reader = new MessagePackReader(tag);
        var entries = new List<KeyValuePair<string, int>>();
        for (int count = reader.ReadMapHeader(); count > 0; count--)
            entries.Add(new(reader.ReadString()!, reader.ReadInt32()));
        Assert.True(reader.End);
        return entries;
    }

    private static List<byte[]> Values()
    {
        byte[] One(Action<ArrayBufferWriter<byte>> write)
        {
            var buffer = new ArrayBufferWriter<byte>();
            write(buffer);
            return buffer.WrittenSpan.ToArray();
        }

        byte[] Written(WriteValue write) => One(buffer =>
        {
            var writer = new MessagePackWriter(buffer);
            write(ref writer);
            writer.Flush();
        });

        return
        [
            Written((ref MessagePackWriter w) => w.WriteNil()), Written((ref MessagePackWriter w) => w.Write(true)),
            Written((ref MessagePackWriter w) => w.Write(ulong.MaxValue)), Written((ref MessagePackWriter w) => w.Write(long.MinValue)),
            Written((ref MessagePackWriter w) => w.Write(1.5)), Written((ref MessagePackWriter w) => w.Write(1.5f)),
            Written((ref MessagePackWriter w) => w.Write(new byte[70_000])), Written((ref MessagePackWriter w) => w.Write(new byte[300])),
            Written((ref MessagePackWriter w) => w.Write(new string('a', 70_000))),
            Written((ref MessagePackWriter w) => w.WriteExtensionFormat(new ExtensionResult(1, new byte[16]))),
            Written((ref MessagePackWriter w) => w.WriteExtensionFormat(new ExtensionResult(2, new byte[300]))),
            Written((ref MessagePackWriter w) => { w.WriteArrayHeader(20); for (int i = 0; i < 20; i++) w.WriteInt16((short)i); }),
        ];
    }

    private delegate void WriteValue(ref MessagePackWriter writer);
}

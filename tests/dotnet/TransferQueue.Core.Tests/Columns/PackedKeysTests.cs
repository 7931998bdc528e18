using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Columns;

public sealed class PackedKeysTests
{
    [Fact]
    public void KeysComeBackAsTheyWere() => Prop.ForAll(
        Gen.ArrayOf(Gen.Elements("", "a", "key 1", "é☃", "😀", new string('x', 300))).ToArbitrary(),
        keys => Assert.Equal(keys, PackedKeys.Pack(keys).Unpack())).QuickCheckThrowOnFailure();

    [Fact]
    public void RefusesANulAndHalfASurrogatePair()
    {
        Assert.Throws<InvalidArgumentException>(() => PackedKeys.Pack(["a\0b"]));
        Assert.Throws<InvalidArgumentException>(() => PackedKeys.Pack(["\uD800"]));
    }

    [Theory]
    [InlineData(0, "a")]
    [InlineData(1, "a\0b")]
    [InlineData(2, "a")]
    [InlineData(2, "")]
    [InlineData(1 << 24, "a\0b")]
    public void RefusesAnotherNumberThanAnnounced(int count, string joined)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(joined);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<ProtocolException>(() => new PackedKeys(count, bytes).Unpack());
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Fact]
    public void RefusesWhatIsNoUtf8() => Assert.Throws<ProtocolException>(() => new PackedKeys(1, new byte[] { 0xFF }).Unpack());
}

using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Columns;

public sealed class ReadinessBitmapTests
{
    private const int Slots = 700;

    /// <summary>Over two blocks and a bit.</summary>
    private const int ManySlots = 2 * ReadinessBitmap.BlockSlots + 100;

    [Fact]
    public void BehavesLikeAnArrayOfBooleans() => Prop.ForAll(Gen.ArrayOf(StepGen).ToArbitrary(), steps =>
    {
        var bitmap = new ReadinessBitmap();
        var model = new bool[ManySlots * 2 + 1];
        foreach (var (operation, start, count) in steps)
            Step(bitmap, model, operation, start, count);
        AssertEqual(model, bitmap);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void CountsWithinAnyRange() => Prop.ForAll(
        (from bits in BitsGen from start in Gen.Choose(0, Slots) from count in Gen.Choose(0, Slots) select (bits, start, count)).ToArbitrary(),
        given =>
        {
            var bitmap = Of(given.bits);
            Assert.Equal(given.bits.Skip(given.start).Take(given.count).Count(bit => bit), bitmap.CountRange(given.start, given.count));
            Assert.Equal(given.bits.Count(bit => bit), bitmap.Count);
            int[] slots = [.. Enumerable.Range(given.start, given.count).Reverse()];
            sbyte[] status = new sbyte[slots.Length * 3 + 2];
            bitmap.CopyTo(slots, status.AsSpan(2), 3);
            Assert.Equal(slots.Select(slot => bitmap[slot]), slots.Select((_, i) => status[2 + 3 * i] == 1));
            Assert.Equal(bitmap.CountRange(given.start, given.count), status.Sum(one => one));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void SetAndClearTellWhatTheyChanged()
    {
        var bitmap = new ReadinessBitmap();
        Assert.True(bitmap.Set(130));
        Assert.False(bitmap.Set(130));
        bitmap.SetRange(100, 10);
        Assert.Equal(6, bitmap.ClearRange(104, 27 + (1 << 20)) - 1);
        Assert.Equal(0, bitmap.ClearRange(104, 27));
        Assert.Equal(4, bitmap.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.Set(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.SetRange(5, -1));
    }

    internal static Gen<bool[]> BitsGen =>
        from length in Gen.Choose(0, Slots)
        from dense in Gen.Choose(0, 10)
        from bits in Gen.ArrayOf(Gen.Choose(0, 9).Select(roll => roll < dense), length)
        select bits;

    internal static ReadinessBitmap Of(bool[] bits)
    {
        var bitmap = new ReadinessBitmap();
        for (int i = 0; i < bits.Length; i++)
        {
            if (bits[i])
                bitmap.Set(i);
        }
        return bitmap;
    }

    private static Gen<(int Operation, int Start, int Count)> StepGen =>
        from operation in Gen.Choose(0, 3)
        from most in Gen.Elements(Slots, ManySlots)
        from start in Gen.Choose(0, most)
        from count in Gen.Choose(0, most)
        select (operation, start, count);

    private static void Step(ReadinessBitmap bitmap, bool[] model, int operation, int start, int count)
    {
        switch (operation)
        {
            case 0:
                bitmap.Set(start);
                model[start] = true;
                break;
            case 1:
                bitmap.SetRange(start, count);
                model.AsSpan(start, count).Fill(true);
                break;
            case 2:
                Assert.Equal(model.AsSpan(start, count).Count(true), bitmap.ClearRange(start, count));
                model.AsSpan(start, count).Clear();
                break;
            default:
                bitmap.EnsureCapacity(start + count);
                break;
        }
    }

    private static void AssertEqual(bool[] model, ReadinessBitmap bitmap)
    {
        for (int i = 0; i < model.Length; i++)
            Assert.True(model[i] == bitmap[i], $"slot {i}: {bitmap[i]}");
        Assert.Equal(model.Count(bit => bit), bitmap.Count);
        for (int block = 0; block <= model.Length / ReadinessBitmap.BlockSlots + 1; block++)
            Assert.Equal(model.Skip(block * ReadinessBitmap.BlockSlots).Take(ReadinessBitmap.BlockSlots).Count(bit => bit), bitmap.CountOfBlock(block));
    }
}

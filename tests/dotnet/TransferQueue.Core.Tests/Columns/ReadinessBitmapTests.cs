using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Columns;

public sealed class ReadinessBitmapTests
{
    private const int Slots = 700;

    [Fact]
    public void BehavesLikeAnArrayOfBooleans() => Prop.ForAll(Gen.ArrayOf(StepGen).ToArbitrary(), steps =>
    {
        var bitmap = new ReadinessBitmap();
        var model = new bool[Slots * 2 + 1];
        foreach (var (operation, start, count) in steps)
            Step(bitmap, model, operation, start, count);
        AssertEqual(model, bitmap);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void CountsAndFindsWithinAnyRange() => Prop.ForAll(
        (from bits in BitsGen from start in Gen.Choose(0, Slots) from count in Gen.Choose(0, Slots) select (bits, start, count)).ToArbitrary(),
        given =>
        {
            var bitmap = Of(given.bits);
            Assert.Equal(given.bits.Skip(given.start).Take(given.count).Count(bit => bit), bitmap.CountRange(given.start, given.count));
            int first = Array.IndexOf(given.bits, true, Math.Min(given.start, given.bits.Length));
            Assert.Equal(first, bitmap.FindFirst(given.start));
            Assert.Equal(given.bits.Count(bit => bit), bitmap.PopCount());
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void CombinesBitmapsOfDifferentLengthsAlsoInPlace(int where) => Prop.ForAll(
        (from left in BitsGen from right in BitsGen from old in BitsGen select (left, right, old)).ToArbitrary(),
        given =>
        {
            foreach (bool negate in new[] { false, true })
            {
                var left = Of(given.left);
                var right = Of(given.right);
                var destination = where switch { 0 => left, 1 => right, _ => Of(given.old) };
                if (negate)
                    left.AndNot(right, destination);
                else
                    left.And(right, destination);
                var expected = given.left.Select((bit, i) => bit && (i < given.right.Length && given.right[i]) != negate).ToArray();
                AssertEqual(expected, destination);
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void SetAndClearTellWhetherTheyChangedSomething()
    {
        var bitmap = new ReadinessBitmap();
        Assert.True(bitmap.Set(130));
        Assert.False(bitmap.Set(130));
        Assert.True(bitmap.Clear(130));
        Assert.False(bitmap.Clear(130));
        Assert.False(bitmap.Clear(1 << 20));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.Set(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.SetRange(5, -1));
    }

    [Fact]
    public void ACloneIsIndependent()
    {
        var bitmap = Of([true, false, true]);
        var clone = bitmap.Clone();
        clone.Clear(0);
        Assert.True(bitmap[0]);
        Assert.False(clone[0]);
    }

    internal static Gen<bool[]> BitsGen =>
        from length in Gen.Choose(0, Slots)
        from dense in Gen.Choose(0, 10)
        from bits in Gen.ArrayOf(Gen.Choose(0, 9).Select(roll => roll < dense), length)
        select bits;

    internal static ReadinessBitmap Of(bool[] bits)
    {
        var bitmap = new ReadinessBitmap(bits.Length);
        for (int i = 0; i < bits.Length; i++)
        {
            if (bits[i])
                bitmap.Set(i);
        }
        return bitmap;
    }

    private static Gen<(int Operation, int Start, int Count)> StepGen =>
        from operation in Gen.Choose(0, 4) from start in Gen.Choose(0, Slots) from count in Gen.Choose(0, Slots) select (operation, start, count);

    private static void Step(ReadinessBitmap bitmap, bool[] model, int operation, int start, int count)
    {
        switch (operation)
        {
            case 0:
                bitmap.Set(start);
                model[start] = true;
                break;
            case 1:
                bitmap.Clear(start);
                model[start] = false;
                break;
            case 2:
                bitmap.SetRange(start, count);
                model.AsSpan(start, count).Fill(true);
                break;
            case 3:
                bitmap.ClearRange(start, count);
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
        Assert.Equal(model.Count(bit => bit), bitmap.PopCount());
    }
}

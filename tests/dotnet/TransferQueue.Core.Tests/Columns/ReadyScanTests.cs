using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Columns;

public sealed class ReadyScanTests
{
    [Fact]
    public void FindsTheFirstRowsReadyInAllFieldsAndNotConsumed() => Prop.ForAll(
        (from fields in Gen.NonEmptyListOf(ReadinessBitmapTests.BitsGen)
         from consumed in ReadinessBitmapTests.BitsGen
         from wanted in Gen.Choose(0, 300)
         select (fields, consumed, wanted)).ToArbitrary(),
        given =>
        {
            var expected = Enumerable.Range(0, given.fields.Min(field => field.Length))
                .Where(i => given.fields.All(field => field[i]) && !(i < given.consumed.Length && given.consumed[i])).ToArray();
            var fields = given.fields.Select(ReadinessBitmapTests.Of).ToArray();
            var consumed = ReadinessBitmapTests.Of(given.consumed);
            var slots = new int[given.wanted];

            var found = ReadyScan.Take(fields, consumed, slots);
            Assert.Equal(expected.Take(given.wanted), slots[..found.Found]);

            var all = new ReadinessBitmap(10_000);
            all.SetRange(0, 10_000);
            ReadyScan.And(fields, consumed, all);
            Assert.Equal(expected.Length, all.PopCount());
            Assert.All(expected, slot => Assert.True(all[slot]));

            Assert.Equal(expected.Length, ReadyScan.Count(fields, consumed).Found);
            Assert.True(ReadyScan.Count(fields, consumed, given.wanted).Found >= Math.Min(given.wanted, expected.Length));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void StopsOnceItHasEnough()
    {
        var field = new ReadinessBitmap();
        field.SetRange(0, 1 << 20);
        var few = ReadyScan.Take([field], null, new int[100]);
        var all = ReadyScan.Take([field], null, new int[1 << 20]);
        Assert.Equal(new ReadyScan.Result(100, ReadyScan.BlockWords), few);
        Assert.Equal(new ReadyScan.Result(1 << 20, (1 << 20) / 64), all);
        Assert.Equal(ReadyScan.BlockWords, ReadyScan.Count([field], null, 64).VisitedWords);
    }

    [Fact]
    public void NothingIsReadyInNoFields()
    {
        var destination = ReadinessBitmapTests.Of([true, true]);
        ReadyScan.And([], null, destination);
        Assert.Equal(0, destination.PopCount());
        Assert.Equal(0, ReadyScan.Take([], null, new int[4]).Found);
    }
}

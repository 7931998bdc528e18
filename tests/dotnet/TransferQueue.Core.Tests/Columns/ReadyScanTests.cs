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
        Assert.Equal(new ReadyScan.Result(100, ReadinessBitmap.BlockWords), few);
        Assert.Equal(new ReadyScan.Result(1 << 20, (1 << 20) / 64), all);
        Assert.Equal(ReadinessBitmap.BlockWords, ReadyScan.Count([field], null, 64).VisitedWords);
    }

    [Fact]
    public void NothingIsReadyInNoFields()
    {
        Assert.Equal(0, ReadyScan.Take([], null, new int[4]).Found);
    }

    [Fact]
    public void BlocksThatCanHaveNothingAreNotLookedAt()
    {
        const int Block = ReadinessBitmap.BlockSlots;
        ReadinessBitmap first = new(), second = new(), consumed = new();
        first.SetRange(0, 6 * Block);
        second.SetRange(2 * Block, 4 * Block);
        consumed.SetRange(0, 4 * Block);
        consumed.SetRange(5 * Block, Block - 1);
        int[] slots = new int[Block + 10];
        // Nothing of the second field in blocks 0 and 1, all consumed in 2 and 3.
        Assert.Equal(new ReadyScan.Result(Block + 1, 2 * ReadinessBitmap.BlockWords), ReadyScan.Take([first, second], consumed, slots));
        Assert.Equal((4 * Block, 6 * Block - 1), (slots[0], slots[Block]));
        Assert.Equal(new ReadyScan.Result(Block + 1, 2 * ReadinessBitmap.BlockWords), ReadyScan.Count([first, second], consumed));
    }

    [Fact]
    public void RunsOverSeveralBlocksAgreeWithASearchSlotBySlot() => Prop.ForAll(
        (from ready in Gen.ListOf(Runs(set: true), 3) from consumed in Runs(set: false) from wanted in Gen.Choose(0, 9000) select (ready, consumed, wanted)).ToArbitrary(),
        given =>
        {
            ReadinessBitmap[] fields = [.. given.ready];
            int slots = fields.Min(field => field.Capacity);
            int[] expected = [.. Enumerable.Range(0, slots).Where(slot => fields.All(field => field[slot]) && !given.consumed[slot])];
            int[] found = new int[given.wanted];
            Assert.Equal(expected.Take(given.wanted), found[..ReadyScan.Take(fields, given.consumed, found).Found]);
            Assert.Equal(expected.Length, ReadyScan.Count(fields, given.consumed).Found);
        }).QuickCheckThrowOnFailure();

    /// <summary>Long stretches, so that there are full blocks and empty ones.</summary>
    private static Gen<ReadinessBitmap> Runs(bool set) =>
        from runs in Gen.ListOf(from start in Gen.Choose(0, 20_000) from count in Gen.Choose(0, 15_000) select (start, count))
        select Made(runs, set);

    private static ReadinessBitmap Made(IEnumerable<(int Start, int Count)> runs, bool set)
    {
        ReadinessBitmap made = new();
        if (set)
            made.SetRange(0, 25_000);
        foreach (var (start, count) in runs)
        {
            if (set)
                made.ClearRange(start, count / 4);
            else
                made.SetRange(start, count);
        }
        return made;
    }
}

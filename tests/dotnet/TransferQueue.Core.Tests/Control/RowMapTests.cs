using TransferQueue.Columns;
using TransferQueue.Control;
using Xunit;

namespace TransferQueue.Tests.Control;

public sealed class RowMapTests
{
    private readonly RowMap _map = new();
    private readonly List<StoredColumn> _released = [];

    [Fact]
    public void NeighboursOfOneBlockInOrderAreOneSegment()
    {
        ColumnBlock block = Block(10);
        _map.Assign(new Segment(5, 5, block, 5), _released);
        _map.Assign(new Segment(0, 3, block, 0), _released);
        Assert.Equal(2, _map.SegmentCount);
        _map.Assign(new Segment(3, 2, block, 3), _released);
        Assert.Equal([new Segment(0, 10, block, 0)], _map.Segments);
        Assert.Equal(10, block.LiveCells);
    }

    [Fact]
    public void ABlockIsReleasedWithItsLastCellAndOnlyOnce()
    {
        ColumnBlock old = Block(10), young = Block(6);
        _map.Assign(new Segment(0, 10, old, 0), _released);
        _map.Assign(new Segment(2, 6, young, 0), _released);
        Assert.Equal(4, old.LiveCells);
        Assert.Equal(3, _map.SegmentCount);
        Assert.Empty(_released);
        _map.Remove(0, 2, _released);
        _map.Remove(8, 2, _released);
        Assert.Equal([old.Column], _released);
        _map.Remove(0, 100, _released);
        Assert.Equal([old.Column, young.Column], _released);
        Assert.Equal(0, _map.SegmentCount);
    }

    [Fact]
    public void ShuffledSlotsGiveOneRunPerStretch()
    {
        ColumnBlock a = Block(4), b = Block(4);
        _map.Assign(new Segment(0, 4, a, 0), _released);
        _map.Assign(new Segment(4, 4, b, 0), _released);
        List<ColumnRun> runs = [];
        Assert.Equal(4, _map.CollectRuns([6, 7, 2, 3, 4, 3], runs, []).Looked);
        Assert.Equal([new(b.Column, 2, 2), new(a.Column, 2, 2), new(b.Column, 0, 1), new(a.Column, 3, 1)], runs);
    }

    [Fact]
    public void RunsOfOneBlockJoinAcrossSegments()
    {
        ColumnBlock block = Block(8);
        _map.Assign(new Segment(0, 4, block, 0), _released);
        _map.Assign(new Segment(10, 4, block, 4), _released);
        List<ColumnRun> runs = [];
        _map.CollectRuns([0, 1, 2, 3, 10, 11], runs, []);
        Assert.Equal([new ColumnRun(block.Column, 0, 6)], runs);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void PlacesOfAnotherMapLeadToTheSameStretches(int seed)
    {
        Random random = new(seed);
        RowMap other = new();
        foreach (RowMap map in new[] { _map, other })
        {
            // The two lie alike for the most part: some puts bring both fields, some one.
            for (int slot = 0; slot < 3000; slot += 3)
            {
                if (ReferenceEquals(map, _map) || random.Next(10) > 0)
                    map.Assign(new Segment(slot, 3, Block(3), 0), _released);
                else
                    map.Assign(new Segment(slot, 3, Block(9), 4), _released);
            }
        }
        other.Remove(600, 300, _released);
        other.Assign(new Segment(600, 300, Block(300), 0), _released);
        int[] slots = [.. Enumerable.Range(0, 500).Select(_ => random.Next(3000))];
        List<RowMap.Place> places = [];
        _map.CollectRuns(slots, [], places);
        List<ColumnRun> helped = [], alone = [];
        other.CollectRuns(slots, helped, places);
        other.CollectRuns(slots, alone, []);
        Assert.Equal(alone, helped);
    }

    [Theory]
    [InlineData(1, 400)]
    [InlineData(2, 2000)]
    [InlineData(3, 20000)]
    public void ItAgreesWithAnArrayOfCells(int seed, int slots)
    {
        Random random = new(seed);
        var model = new (ColumnBlock? Block, int Row)[slots];
        List<ColumnBlock> blocks = [];
        for (int step = 0; step < 3000; step++)
        {
            int start = random.Next(slots), count = random.Next(1, Math.Min(slots - start, step % 97 == 0 ? slots : 40) + 1);
            if (random.Next(5) == 0)
            {
                _map.Remove(start, count, _released);
                Array.Clear(model, start, count);
            }
            else
            {
                AssignRandomly(random, model, blocks, start, count);
            }
            if (step % 100 == 0)
                AssertAgrees(model, blocks);
        }
        AssertAgrees(model, blocks);
    }

    [Fact]
    public void ManyOneRowSegmentsAreFoundAndRemoved()
    {
        const int rows = 200_000;
        for (int slot = 0; slot < rows; slot++)
            _map.Assign(new Segment((int)(slot * 7919L % rows), 1, Block(1), 0), _released);
        Assert.Equal(rows, _map.SegmentCount);
        Assert.True(_map.TryFind(rows - 1, out Segment last) && last.Start == rows - 1);
        _map.Remove(1, rows - 2, _released);
        Assert.Equal(2, _map.SegmentCount);
        Assert.Equal(rows - 2, _released.Count);
    }

    private static ColumnBlock Block(int rows) => new(new StoredColumn(new ColumnLayout(ColumnKind.Dense, DType.UInt8, []), rows, default, 0, null));

    private void AssignRandomly(Random random, (ColumnBlock? Block, int Row)[] model, List<ColumnBlock> blocks, int start, int count)
    {
        // Often a block that is there already, so that stretches of it meet.
        ColumnBlock block = blocks.Count > 0 && random.Next(2) == 0 ? blocks[random.Next(blocks.Count)] : Block(model.Length);
        if (!blocks.Contains(block))
            blocks.Add(block);
        if (blocks.Count > 30)
            blocks.RemoveAt(0);
        _map.Assign(new Segment(start, count, block, start), _released);
        for (int slot = start; slot < start + count; slot++)
            model[slot] = (block, slot);
    }

    private void AssertAgrees((ColumnBlock? Block, int Row)[] model, List<ColumnBlock> blocks)
    {
        Segment[] expected = [.. Stretches(model)];
        Assert.Equal(expected, _map.Segments);
        Assert.Equal(expected.Length, _map.SegmentCount);
        foreach (ColumnBlock block in blocks)
            Assert.Equal(model.Count(cell => ReferenceEquals(cell.Block, block)), block.LiveCells);
        for (int slot = 0; slot < model.Length; slot += 13)
            Assert.Equal(model[slot].Block is not null, _map.TryFind(slot, out _));
    }

    private static IEnumerable<Segment> Stretches((ColumnBlock? Block, int Row)[] model)
    {
        for (int begin = 0; begin < model.Length;)
        {
            int end = begin + 1;
            while (end < model.Length && ReferenceEquals(model[end].Block, model[begin].Block) && model[end].Row == model[end - 1].Row + (model[end].Block is null ? 0 : 1))
                end++;
            if (model[begin].Block is { } block)
                yield return new Segment(begin, end - begin, block, model[begin].Row);
            begin = end;
        }
    }
}

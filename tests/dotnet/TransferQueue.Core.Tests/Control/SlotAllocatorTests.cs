using TransferQueue.Control;
using Xunit;

namespace TransferQueue.Tests.Control;

public sealed class SlotAllocatorTests
{
    [Fact]
    public void APutGetsTheStretchThatWasClearedForIt()
    {
        SlotAllocator slots = new();
        Take(slots, 256);
        slots.Free(64, 64);
        slots.Free(192, 32);
        Assert.Equal([(64, 64)], Take(slots, 64));
        Assert.Equal([(192, 32)], Take(slots, 32));
        Assert.Equal([(256, 1)], Take(slots, 1));
    }

    [Fact]
    public void NeighboursThatAreFreeBecomeOneStretch()
    {
        SlotAllocator slots = new();
        Take(slots, 100);
        foreach (int start in new[] { 10, 30, 20 })
            slots.Free(start, 10);
        Assert.Equal([(10, 30)], Take(slots, 30));
    }

    [Fact]
    public void TheHighestSlotFallsWhenTheLastOnesGo()
    {
        SlotAllocator slots = new();
        Take(slots, 1000);
        slots.Free(10, 980);
        Assert.Equal(1000, slots.HighWater);
        slots.Free(990, 10);
        Assert.Equal(10, slots.HighWater);
    }

    [Fact]
    public void SplinteredRoomIsUsedBeforeMoreThanHalfOfAllSlotsAreFree()
    {
        SlotAllocator slots = new();
        Take(slots, 4096);
        for (int slot = 0; slot < 4096; slot += 2)
            slots.Free(slot, 1);
        for (int round = 0; round < 8; round++)
            Take(slots, 512);
        Assert.Equal(2048 + 8 * 512, slots.TakenCount);
        Assert.True(slots.HighWater <= 2 * slots.TakenCount + 64, $"{slots.HighWater} slots for {slots.TakenCount} rows");
    }

    [Fact]
    public void ItAgreesWithASetOfSlotsOverALongLife()
    {
        SlotAllocator slots = new();
        SortedSet<int> taken = [];
        Random random = new(11);
        for (int step = 0; step < 4000; step++)
        {
            foreach (var (start, count) in Take(slots, random.Next(1, 20)))
            {
                for (int slot = start; slot < start + count; slot++)
                    Assert.True(taken.Add(slot));
            }
            foreach (int slot in taken.Where(_ => random.Next(4) == 0).ToList())
            {
                slots.Free(slot, 1);
                taken.Remove(slot);
            }
            Assert.Equal(taken.Count, slots.TakenCount);
            Assert.Equal(taken.Count == 0 ? 0 : taken.Max + 1, slots.HighWater);
            if (step % 50 == 0)
                AssertNeighbours(slots, [.. taken]);
        }
    }

    private static void AssertNeighbours(SlotAllocator slots, int[] taken)
    {
        for (int i = 0; i < taken.Length; i++)
        {
            Assert.True(slots.IsTaken(taken[i]));
            Assert.Equal(i == 0 ? -1 : taken[i - 1], slots.Previous(taken[i]));
            Assert.Equal(i == taken.Length - 1 ? -1 : taken[i + 1], slots.Next(taken[i]));
        }
    }

    private static List<(int Start, int Count)> Take(SlotAllocator slots, int count)
    {
        List<(int, int)> runs = [];
        slots.Allocate(count, runs);
        return runs;
    }
}

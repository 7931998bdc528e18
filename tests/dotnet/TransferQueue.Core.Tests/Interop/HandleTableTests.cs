using TransferQueue.Interop;
using Xunit;

namespace TransferQueue.Tests.Interop;

public sealed class HandleTableTests
{
    private readonly HandleTable _table = new();

    [Fact]
    public void AHandleFindsItsObjectUntilItIsTaken()
    {
        object value = new();
        long handle = _table.Add(value);
        Assert.True(handle > 0);
        Assert.Same(value, _table.Get<object>(handle));
        Assert.Same(value, _table.TryTake(handle));
        Assert.Null(_table.TryGet(handle));
        Assert.Equal(0, _table.Count);
    }

    [Fact]
    public void TakingTwiceFindsNothingEvenWhenTheSlotHasANewOwner()
    {
        long first = _table.Add("first");
        _table.TryTake(first);
        long second = _table.Add("second");
        Assert.NotEqual(first, second);
        Assert.Null(_table.TryTake(first));
        Assert.Equal("second", _table.TryGet(second));
    }

    [Fact]
    public void AnObjectOfAnotherTypeIsRefusedByName()
    {
        long handle = _table.Add("text");
        var error = Assert.Throws<InvalidArgumentException>(() => _table.Get<List<int>>(handle));
        Assert.Contains(handle.ToString(), error.Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(1)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public void ANumberThatIsNoHandleFindsNothing(long number)
    {
        _table.Add("something");
        Assert.Null(_table.TryGet(number));
        Assert.Null(_table.TryTake(number));
        Assert.Equal(1, _table.Count);
    }

    [Fact]
    public void ManyHandlesHaveAllDifferentNumbersAndSlotsAreUsedAgain()
    {
        var handles = new HashSet<long>();
        for (int round = 0; round < 3; round++)
        {
            long[] added = [.. Enumerable.Range(0, 10_000).Select(number => _table.Add(number))];
            handles.UnionWith(added);
            Assert.All(added.Select((handle, number) => (handle, number)), pair => Assert.Equal(pair.number, _table.TryTake(pair.handle)));
        }
        Assert.Equal(30_000, handles.Count);
        Assert.Equal(0, _table.Count);
    }

    [Fact]
    public void OfThreadsThatTakeTheSameHandleExactlyOneGetsTheObject()
    {
        int winners = 0;
        for (int round = 0; round < 2_000; round++)
        {
            long handle = _table.Add(round);
            Parallel.For(0, 4, _ =>
            {
                if (_table.TryTake(handle) is not null)
                    Interlocked.Increment(ref winners);
                _table.TryTake(_table.Add("other"));
            });
        }
        Assert.Equal(2_000, winners);
        Assert.Equal(0, _table.Count);
    }
}

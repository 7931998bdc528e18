using FsCheck;
using FsCheck.Fluent;
using TransferQueue.Memory;
using Xunit;

namespace TransferQueue.Tests.Memory;

public sealed class PageSetTests
{
    private const int Pages = 400;

    [Fact]
    public void ItAnswersAsASetOfNumbersDoes()
    {
        Gen<(bool Add, int First, int Count)> steps =
            from add in Gen.Elements(true, false)
            from first in Gen.Choose(0, Pages - 1)
            from count in Gen.Choose(1, 150)
            select (add, first, count);
        Prop.ForAll(Gen.ArrayOf(steps).ToArbitrary(), run =>
        {
            var pages = new PageSet();
            var model = new SortedSet<long>();
            foreach ((bool add, int first, int count) in run)
            {
                IEnumerable<long> numbers = Enumerable.Range(first, count).Select(number => (long)number);
                Assert.Equal(numbers.Any(model.Contains), pages.Overlaps(first, count));
                Assert.Equal(numbers.All(model.Contains), pages.Contains(first, count));
                Assert.Equal(numbers.Append(first + count).First(page => page == first + count || model.Contains(page)), pages.Find(first, first + count, isIn: true));
                if (add)
                {
                    pages.Add(first, count);
                    model.UnionWith(numbers);
                }
                else
                {
                    pages.Remove(first, count);
                    model.ExceptWith(numbers);
                }
                Assert.Equal(model.Count, pages.Count);
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void PagesBeyondAllThatWereEverInItAreNotInIt()
    {
        var pages = new PageSet();
        Assert.False(pages.Overlaps(1_000_000, 50));
        pages.Remove(1_000_000, 50);
        pages.Add(1_000_000, 50);
        Assert.True(pages.Contains(1_000_000, 50));
        Assert.False(pages.Contains(1_000_000, 51));
    }
}

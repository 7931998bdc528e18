using Xunit;

namespace TransferQueue.Tests;

public sealed class ErrorTests
{
    [Fact]
    public void EveryLeafCarriesItsOwnKind()
    {
        var leaves = typeof(TransferQueueException).Assembly.GetTypes()
            .Where(type => type.IsSubclassOf(typeof(TransferQueueException))).ToList();
        var kinds = leaves.Select(type =>
        {
            var constructor = type.GetConstructors().Single();
            var arguments = constructor.GetParameters().Select(p => p.ParameterType == typeof(string) ? "m" : null).ToArray();
            return ((TransferQueueException)constructor.Invoke(arguments)).Kind;
        }).ToList();
        Assert.Equal(kinds.Count, kinds.Distinct().Count());
        Assert.All(leaves.Zip(kinds), pair => Assert.Equal(pair.Second + "Exception", pair.First.Name));
    }
}

using TorchSharp;
using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Columns;

/// <summary>Our numbers beside those of TorchSharp's managed enum; its native library is never loaded.</summary>
public sealed class DTypeTests
{
    [Fact]
    public void EveryTypeThatTorchSharpHasHasOurNumber()
    {
        var theirs = Enum.GetValues<torch.ScalarType>().Where(type => !IsQuantized(type)).ToDictionary(type => OurName(type.ToString()), type => (sbyte)type);
        Assert.InRange(theirs.Count, 12, int.MaxValue);
        foreach (var (name, number) in theirs)
        {
            Assert.True(Enum.TryParse<DType>(name, out var dtype), $"TorchSharp's {name} = {number} is unknown to us");
            Assert.Equal(number, (sbyte)dtype);
            Assert.True(dtype.IsTensor());
        }
    }

    [Fact]
    public void ItemSizesAreTorchs()
    {
        var sizes = Enum.GetValues<DType>().Where(dtype => dtype.IsTensor()).GroupBy(dtype => dtype.ItemSize()).ToDictionary(group => group.Key, group => group.Count());
        Assert.Equal(new Dictionary<int, int> { [1] = 8, [2] = 4, [4] = 4, [8] = 4, [16] = 1 }.OrderBy(pair => pair.Key), sizes.OrderBy(pair => pair.Key));
        Assert.Equal([2, 2, 4, 8, 16, 1], new[] { DType.BFloat16, DType.Float16, DType.Complex32, DType.Complex64, DType.Complex128, DType.Bool }.Select(dtype => dtype.ItemSize()));
    }

    [Fact]
    public void OtherNumbersAreNoTensors()
    {
        Assert.False(DType.None.IsTensor());
        Assert.False(((DType)12).IsTensor());
        Assert.Throws<InvalidArgumentException>(() => DType.None.ItemSize());
        Assert.Throws<InvalidArgumentException>(() => ((DType)99).ItemSize());
    }

    /// <summary>Quantized types and those below a byte, which have no column of their own.</summary>
    private static bool IsQuantized(torch.ScalarType type) => type.ToString() is ['Q', ..] || type.ToString().StartsWith("Bits", StringComparison.Ordinal);

    private static string OurName(string theirs) => theirs switch
    {
        "Byte" => nameof(DType.UInt8),
        "ComplexFloat16" => nameof(DType.Complex32),
        "ComplexFloat32" => nameof(DType.Complex64),
        "ComplexFloat64" => nameof(DType.Complex128),
        _ => theirs,
    };
}

using BenchmarkDotNet.Attributes;
using TransferQueue.Columns;

namespace TransferQueue.Benchmarks;

/// <summary>
/// The search for ready rows over ten fields: all rows are ready, all but the last 256 are consumed. Mixed: of each 128 rows, 64 are ready in all
/// fields, and consumed, so that no block can be passed over.
/// </summary>
public class ReadyScanBenchmarks
{
    private const int Wanted = 256;

    private readonly int[] _slots = new int[Wanted];
    private ReadinessBitmap[] _fields = [];
    private ReadinessBitmap _consumed = new();
    private ReadinessBitmap[] _mixedFields = [];
    private ReadinessBitmap _mixedConsumed = new();

    /// <summary>Rows of the partition.</summary>
    [Params(1 << 10, 1 << 16, 1 << 20)]
    public int Rows { get; set; }

    /// <summary>Makes the bitmaps.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        _fields = [.. Enumerable.Range(0, 10).Select(_ => Filled(Rows))];
        _consumed = Filled(Rows - Wanted);
        _mixedFields = [.. _fields[1..], Mixed(Rows)];
        _mixedConsumed = Mixed(Rows - 2 * Wanted);
    }

    /// <summary>The rows wanted are the last ones; the blocks before are full.</summary>
    [Benchmark(Description = "take the last 256")]
    public int TakeLast() => ReadyScan.Take(_fields, _consumed, _slots).Found;

    /// <summary>The rows wanted are the last ones: every word is visited.</summary>
    [Benchmark(Description = "take the last 256, mixed")]
    public int TakeLastOfMixed() => ReadyScan.Take(_mixedFields, _mixedConsumed, _slots).Found;

    /// <summary>The rows wanted are the first ones.</summary>
    [Benchmark(Description = "take the first 256")]
    public int TakeFirst() => ReadyScan.Take(_fields, null, _slots).Found;

    /// <summary>Counts all.</summary>
    [Benchmark(Description = "count")]
    public int Count() => ReadyScan.Count(_fields, null).Found;

    private static ReadinessBitmap Filled(int rows)
    {
        ReadinessBitmap made = new();
        made.SetRange(0, rows);
        return made;
    }

    private static ReadinessBitmap Mixed(int rows)
    {
        ReadinessBitmap made = new();
        for (int row = 0; row < rows; row += 128)
            made.SetRange(row, 64);
        return made;
    }
}

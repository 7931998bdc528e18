using BenchmarkDotNet.Attributes;
using TransferQueue.Columns;

namespace TransferQueue.Benchmarks;

/// <summary>The search for ready rows over ten fields: all rows are ready, all but the last 256 are consumed.</summary>
public class ReadyScanBenchmarks
{
    private const int Wanted = 256;

    private readonly int[] _slots = new int[Wanted];
    private ReadinessBitmap[] _fields = [];
    private ReadinessBitmap _consumed = new();
    private ReadinessBitmap _result = new();

    /// <summary>Rows of the partition.</summary>
    [Params(1 << 10, 1 << 16, 1 << 20)]
    public int Rows { get; set; }

    /// <summary>Makes the bitmaps.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        _fields = [.. Enumerable.Range(0, 10).Select(_ => Filled(Rows))];
        _consumed = Filled(Rows - Wanted);
        _result = new ReadinessBitmap(Rows);
    }

    /// <summary>The rows wanted are the last ones: every word is visited.</summary>
    [Benchmark(Description = "take the last 256")]
    public int TakeLast() => ReadyScan.Take(_fields, _consumed, _slots).Found;

    /// <summary>The rows wanted are the first ones.</summary>
    [Benchmark(Description = "take the first 256")]
    public int TakeFirst() => ReadyScan.Take(_fields, null, _slots).Found;

    /// <summary>Counts all.</summary>
    [Benchmark(Description = "count")]
    public int Count() => ReadyScan.Count(_fields, null).Found;

    /// <summary>Combines the bitmaps into one.</summary>
    [Benchmark(Description = "and of all")]
    public void And() => ReadyScan.And(_fields, _consumed, _result);

    private static ReadinessBitmap Filled(int rows)
    {
        ReadinessBitmap made = new(rows);
        made.SetRange(0, rows);
        return made;
    }
}

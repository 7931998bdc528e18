using BenchmarkDotNet.Attributes;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Benchmarks;

/// <summary>Giving out extents and taking them back, in an arena that has grown already.</summary>
public class ExtentAllocatorBenchmarks
{
    private const int Live = 512;
    private const long MostBytes = 256 << 10;

    private readonly ExtentRef[] _live = new ExtentRef[Live];
    private readonly Random _random = new(7);
    private ExtentAllocator _allocator = null!;

    /// <summary>Fills the arena with extents of random sizes.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        _allocator = new ExtentAllocator(new Arena(new ArenaOptions { CapacityBytes = 512L << 20 }));
        for (int i = 0; i < Live; i++)
            _live[i] = _allocator.Allocate(RandomBytes());
    }

    /// <summary>Gives the arena back.</summary>
    [GlobalCleanup]
    public void CleanUp() => _allocator.Dispose();

    /// <summary>A scalar column's extent.</summary>
    [Benchmark(Description = "4 KiB, and back")]
    public void Small() => _allocator.Free(_allocator.Allocate(4 << 10));

    /// <summary>A large column's extent.</summary>
    [Benchmark(Description = "32 MiB, and back")]
    public void Large() => _allocator.Free(_allocator.Allocate(32 << 20));

    /// <summary>Jagged life: of 512 extents a random one goes, one of another size comes.</summary>
    [Benchmark(Description = "replace one of 512 by another size")]
    public void Replace()
    {
        int at = _random.Next(Live);
        _allocator.Free(_live[at]);
        _live[at] = _allocator.Allocate(RandomBytes());
    }

    private long RandomBytes() => 1 + _random.NextInt64(MostBytes);
}

using BenchmarkDotNet.Attributes;
using TransferQueue.Memory;

namespace TransferQueue.Benchmarks;

/// <summary>
/// Ways to copy a batch's bytes. The sources rotate through 256 MiB, so that they come from memory as a producer's fresh columns
/// mostly do; the target is warm, as recycled extents are.
/// </summary>
public unsafe class CopyBenchmarks
{
    private const long RotationBytes = 256L << 20;

    private NativeRoom _sources = null!;
    private NativeRoom _target = null!;
    private long _at;

    /// <summary>KiB per copy.</summary>
    [Params(64, 1 << 10, 4 << 10, 16 << 10, 64 << 10)]
    public int KiB { get; set; }

    private long Bytes => (long)KiB << 10;

    /// <summary>Takes and touches the memory.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        _sources = new NativeRoom(RotationBytes);
        _target = new NativeRoom(Bytes);
    }

    /// <summary>Gives it back.</summary>
    [GlobalCleanup]
    public void CleanUp()
    {
        _sources.Dispose();
        _target.Dispose();
    }

    /// <summary>What everything is held against.</summary>
    [Benchmark(Baseline = true, Description = "memcpy")]
    public void ThroughCaches() => Buffer.MemoryCopy(NextSource(), _target.Pointer, Bytes, Bytes);

    /// <summary>Streaming stores and a fence, whatever the size.</summary>
    [Benchmark(Description = "streaming, one thread")]
    public void Streaming() => CopyKernels.Copy(NextSource(), _target.Pointer, Bytes, streaming: true);

    /// <summary>As a put copies: the kernel and the number of threads are chosen by the size.</summary>
    [Benchmark(Description = "BulkCopy")]
    public void Bulk()
    {
        BulkCopy copy = new();
        copy.Add(NativeSegment.At(NextSource(), Bytes), _target.Pointer);
        copy.Run();
    }

    /// <summary>The same bytes as 64 stretches one behind the other.</summary>
    [Benchmark(Description = "gather of 64 stretches")]
    public void Gather()
    {
        Span<NativeSegment> parts = stackalloc NativeSegment[64];
        NativeSegment whole = NativeSegment.At(NextSource(), Bytes);
        for (int i = 0; i < parts.Length; i++)
            parts[i] = whole.Skip(Bytes / parts.Length * i).Take(Bytes / parts.Length);
        CopyKernels.GatherSegments(parts, _target.Pointer, Bytes >= CopyKernels.StreamingBytes);
    }

    private byte* NextSource()
    {
        byte* source = _sources.Pointer + _at;
        _at = _at + 2 * Bytes <= RotationBytes ? _at + Bytes : 0;
        return source;
    }
}

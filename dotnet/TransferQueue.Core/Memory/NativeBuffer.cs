namespace TransferQueue.Memory;

/// <summary>
/// Native memory, 64-byte aligned, on loan from a <see cref="NativeBufferPool"/>. <see cref="Dispose"/> gives it back; the object
/// must not be touched after that, because the pool gives it out again. Any thread, one at a time.
/// </summary>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private readonly NativeBufferPool _pool;

    internal NativeBuffer(NativeBufferPool pool, byte* address, long capacityBytes, int sizeClass)
    {
        _pool = pool;
        Address = address;
        CapacityBytes = capacityBytes;
        SizeClass = sizeClass;
    }

    /// <summary>First byte, a multiple of 64.</summary>
    public byte* Address { get; }

    /// <summary>Bytes asked for.</summary>
    public long Length { get; internal set; }

    /// <summary>Bytes that there are, at least <see cref="Length"/>.</summary>
    public long CapacityBytes { get; }

    /// <summary>The bytes asked for.</summary>
    public NativeSegment Segment => NativeSegment.At(Address, Length);

    /// <summary>The bytes asked for, when they fit a span.</summary>
    public Span<byte> Span => new(Address, checked((int)Length));

    internal int SizeClass { get; }

    /// <summary>Whether it is on loan. Changed under the pool's lock only.</summary>
    internal bool IsOut { get; set; }

    /// <summary>Neighbours among the kept buffers of its size class (newest first) and among all kept ones (by time of return).</summary>
    internal NativeBuffer? Below { get; set; }

    internal NativeBuffer? Above { get; set; }

    internal NativeBuffer? Older { get; set; }

    internal NativeBuffer? Newer { get; set; }

    /// <summary>Gives the memory back.</summary>
    public void Dispose() => _pool.Return(this);
}

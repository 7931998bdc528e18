namespace TransferQueue.Memory;

/// <summary>A stretch of native memory: a value that owns nothing.</summary>
/// <param name="Address">First byte; 0 only when empty.</param>
/// <param name="Length">Bytes, 0 or more.</param>
internal readonly record struct NativeSegment(nint Address, long Length)
{
    /// <summary>Makes a segment from a pointer.</summary>
    public static unsafe NativeSegment At(void* address, long length) => new((nint)address, length);

    /// <summary>The first byte.</summary>
    public unsafe byte* Pointer => (byte*)Address;

    /// <summary>What is left behind the first <paramref name="bytes"/> bytes.</summary>
    public NativeSegment Skip(long bytes) => new(Address + (nint)bytes, Length - bytes);

    /// <summary>The first <paramref name="bytes"/> bytes.</summary>
    public NativeSegment Take(long bytes) => this with { Length = bytes };
}

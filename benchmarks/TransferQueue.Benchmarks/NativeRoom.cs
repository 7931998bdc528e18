using System.Runtime.InteropServices;
using TransferQueue.Memory;

namespace TransferQueue.Benchmarks;

/// <summary>Native memory whose pages have all been touched.</summary>
internal sealed unsafe class NativeRoom : IDisposable
{
    /// <param name="bytes">Length, &gt; 0.</param>
    public NativeRoom(long bytes)
    {
        Bytes = bytes;
        Pointer = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, (nuint)Arena.PageBytes);
        NativeMemory.Fill(Pointer, (nuint)bytes, 1);
    }

    /// <summary>The first byte, at the beginning of a page.</summary>
    public byte* Pointer { get; }

    /// <summary>How many bytes there are.</summary>
    public long Bytes { get; }

    /// <summary>All of it.</summary>
    public NativeSegment Whole => NativeSegment.At(Pointer, Bytes);

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.AlignedFree(Pointer);
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace TransferQueue.Memory;

/// <summary>
/// Copies bytes between native memory. Small copies go through the caches; large ones write past them with streaming
/// stores, which saves reading the destination's lines first. Stateless; any thread.
/// </summary>
internal static unsafe class CopyKernels
{
    /// <summary>
    /// Bytes of a whole put or gather from which streaming pays: measured for this project on Zen 3 with a cold source, one thread
    /// loses to memcpy below about 2 MiB and wins from 4–8 MiB (twice as fast at 64 MiB). Decide on the whole, not on one column of it.
    /// </summary>
    public const long StreamingBytes = 4 << 20;

    /// <summary>Pieces below this many bytes are copied through the caches even within a large whole: aligning and fencing cost more than they save.</summary>
    private const long SmallestStreamedBytes = 4 << 10;
    private const int LineBytes = 64;

    /// <summary>Of small stretches so many are asked for before their turn: more than a processor has open at once are of no use.</summary>
    private const int SegmentsAhead = 8;

    /// <summary>Copies <paramref name="bytes"/> bytes, streaming if they are many. The two must not overlap.</summary>
    public static void Copy(byte* source, byte* target, long bytes) => Copy(source, target, bytes, bytes >= StreamingBytes);

    /// <summary>Copies one part of a larger whole. The two must not overlap.</summary>
    /// <param name="source">First byte to read.</param>
    /// <param name="target">First byte to write.</param>
    /// <param name="bytes">Bytes, 0 or more.</param>
    /// <param name="streaming">Whether the whole is large: <see cref="StreamingBytes"/>.</param>
    public static void Copy(byte* source, byte* target, long bytes, bool streaming)
    {
        CopyUnfenced(source, target, bytes, streaming);
        if (streaming)
            Fence();
    }

    /// <summary>Copies one part of a larger whole, which somebody ends with <see cref="Fence"/>. The two must not overlap.</summary>
    /// <inheritdoc cref="Copy(byte*, byte*, long, bool)"/>
    public static void CopyUnfenced(byte* source, byte* target, long bytes, bool streaming)
    {
        if (!streaming || bytes < SmallestStreamedBytes || !Vector256.IsHardwareAccelerated)
            Buffer.MemoryCopy(source, target, bytes, bytes);
        else
            Stream(source, target, bytes);
    }

    /// <summary>Copies stretches of memory one behind the other. Those ahead are on their way from memory meanwhile: rows of a large partition lie anywhere.</summary>
    /// <returns>Bytes copied: the sum of their lengths.</returns>
    public static long GatherSegments(ReadOnlySpan<NativeSegment> sources, byte* target, bool streaming)
    {
        byte* start = target;
        for (int i = 0; i < sources.Length; i++)
        {
            if (i + SegmentsAhead < sources.Length)
                Prefetch(sources[i + SegmentsAhead].Pointer);
            CopyUnfenced(sources[i].Pointer, target, sources[i].Length, streaming);
            target += sources[i].Length;
        }
        if (streaming)
            Fence();
        return target - start;
    }

    /// <summary>Asks for the line of memory at <paramref name="source"/>, and does not wait for it. Any address is allowed.</summary>
    public static void Prefetch(byte* source)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(source);
    }

    /// <summary>Streaming stores are weakly ordered: without this another core may see a message before the bytes that it speaks of.</summary>
    public static void Fence()
    {
        if (Sse.IsSupported)
            Sse.StoreFence();
        else
            Thread.MemoryBarrier();
    }

    /// <summary>Copies rows of one size, chosen by number, one behind the other; numbers that follow each other are copied as one run.</summary>
    /// <param name="source">Row 0.</param>
    /// <param name="rows">Numbers of the rows wanted, in the order wanted; repetition allowed; the caller has checked them.</param>
    /// <param name="rowBytes">Bytes of a row.</param>
    /// <param name="target">Room for all of them.</param>
    public static void GatherRows(byte* source, ReadOnlySpan<int> rows, long rowBytes, byte* target)
    {
        bool streaming = rows.Length * rowBytes >= StreamingBytes;
        if (rowBytes == sizeof(long))
            GatherElements((long*)source, rows, (long*)target);
        else if (rowBytes == sizeof(int))
            GatherElements((int*)source, rows, (int*)target);
        else if (rowBytes == sizeof(byte))
            GatherElements(source, rows, target);
        else
            GatherRuns(source, rows, rowBytes, target, streaming);
    }

    private static void GatherElements<T>(T* source, ReadOnlySpan<int> rows, T* target)
        where T : unmanaged
    {
        for (int i = 0; i < rows.Length; i++)
            target[i] = source[rows[i]];
    }

    private static void GatherRuns(byte* source, ReadOnlySpan<int> rows, long rowBytes, byte* target, bool streaming)
    {
        for (int i = 0; i < rows.Length;)
        {
            int end = i + 1;
            while (end < rows.Length && rows[end] == rows[end - 1] + 1)
                end++;
            long bytes = (end - i) * rowBytes;
            Copy(source + rows[i] * rowBytes, target, bytes, streaming);
            target += bytes;
            i = end;
        }
    }

    /// <remarks>Compiled well at once: the first puts of a process are its largest loops, and would wait for a second compilation on a busy machine.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Stream(byte* source, byte* target, long bytes)
    {
        long head = (LineBytes - ((nint)target & (LineBytes - 1))) & (LineBytes - 1);
        Buffer.MemoryCopy(source, target, head, head);
        source += head;
        target += head;
        bytes -= head;
        long streamed = bytes & -(4 * 32);
        for (byte* end = target + streamed; target != end; source += 128, target += 128)
        {
            Vector256<byte> first = Vector256.Load(source);
            Vector256<byte> second = Vector256.Load(source + 32);
            Vector256<byte> third = Vector256.Load(source + 64);
            Vector256<byte> fourth = Vector256.Load(source + 96);
            first.StoreAlignedNonTemporal(target);
            second.StoreAlignedNonTemporal(target + 32);
            third.StoreAlignedNonTemporal(target + 64);
            fourth.StoreAlignedNonTemporal(target + 96);
        }
        Buffer.MemoryCopy(source, target, bytes - streamed, bytes - streamed);
    }
}

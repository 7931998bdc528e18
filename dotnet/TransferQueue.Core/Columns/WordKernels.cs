using System.Numerics;
using System.Runtime.InteropServices;

namespace TransferQueue.Columns;

/// <summary>The loops over bitmap words, a vector at a time. Spans have equal lengths; the destination may be a source.</summary>
internal static class WordKernels
{
    /// <summary>destination = left AND right.</summary>
    internal static void And(ReadOnlySpan<ulong> left, ReadOnlySpan<ulong> right, Span<ulong> destination)
    {
        destination = destination[..left.Length];
        var a = MemoryMarshal.Cast<ulong, Vector<ulong>>(left);
        var b = MemoryMarshal.Cast<ulong, Vector<ulong>>(right);
        var d = MemoryMarshal.Cast<ulong, Vector<ulong>>(destination);
        for (int i = 0; i < d.Length; i++)
            d[i] = a[i] & b[i];
        for (int i = d.Length * Vector<ulong>.Count; i < left.Length; i++)
            destination[i] = left[i] & right[i];
    }

    /// <summary>destination = left AND NOT right.</summary>
    internal static void AndNot(ReadOnlySpan<ulong> left, ReadOnlySpan<ulong> right, Span<ulong> destination)
    {
        destination = destination[..left.Length];
        var a = MemoryMarshal.Cast<ulong, Vector<ulong>>(left);
        var b = MemoryMarshal.Cast<ulong, Vector<ulong>>(right);
        var d = MemoryMarshal.Cast<ulong, Vector<ulong>>(destination);
        for (int i = 0; i < d.Length; i++)
            d[i] = Vector.AndNot(a[i], b[i]);
        for (int i = d.Length * Vector<ulong>.Count; i < left.Length; i++)
            destination[i] = left[i] & ~right[i];
    }
}

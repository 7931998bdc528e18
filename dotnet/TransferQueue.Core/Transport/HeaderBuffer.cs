using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Memory;

namespace TransferQueue.Transport;

/// <summary>
/// Room for a header that is being written; its bytes never move, so that the kernel can read them in place. Reused: it keeps small
/// arrays and lets go of large ones. Not thread-safe.
/// </summary>
internal sealed unsafe class HeaderBuffer : IBufferWriter<byte>
{
    private const int SmallestBytes = 1 << 10;
    private const int MostKeptBytes = 256 << 10;
    private byte[] _bytes = GC.AllocateUninitializedArray<byte>(SmallestBytes, pinned: true);

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }

    /// <summary>What was written.</summary>
    public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, Length);

    /// <summary>What was written, in place; valid until the next write or <see cref="Clear"/>.</summary>
    public NativeSegment Segment => NativeSegment.At(Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_bytes)), Length);

    /// <summary>Forgets what was written.</summary>
    public void Clear()
    {
        Length = 0;
        if (_bytes.Length > MostKeptBytes)
            _bytes = GC.AllocateUninitializedArray<byte>(SmallestBytes, pinned: true);
    }

    /// <inheritdoc/>
    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _bytes.Length - Length);
        Length += count;
    }

    /// <inheritdoc/>
    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _bytes.AsMemory(Length);
    }

    /// <inheritdoc/>
    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _bytes.AsSpan(Length);
    }

    private void Reserve(int bytes)
    {
        long needed = (long)Length + Math.Max(1, bytes);
        if (needed <= _bytes.Length)
            return;
        long grown = Math.Min(Array.MaxLength, Math.Max(needed, 2L * _bytes.Length));
        byte[] larger = GC.AllocateUninitializedArray<byte>((int)Math.Max(grown, needed), pinned: true);
        Written.CopyTo(larger);
        _bytes = larger;
    }
}

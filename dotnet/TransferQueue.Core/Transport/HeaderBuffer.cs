using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Memory;

namespace TransferQueue.Transport;

/// <summary>
/// Room for a header that is being written; its bytes never move, so that the kernel can read them in place. Reused: it keeps small
/// arrays; of large ones each thread keeps one for whoever needs it next, since arrays that never move are dear to make. Not thread-safe.
/// </summary>
internal sealed unsafe class HeaderBuffer : IBufferWriter<byte>
{
    private const int SmallestBytes = 1 << 10;
    private const int MostKeptBytes = 256 << 10;
    private const int MostSparedBytes = 8 << 20;

    [ThreadStatic]
    private static byte[]? _spare;

    private readonly byte[] _small = GC.AllocateUninitializedArray<byte>(SmallestBytes, pinned: true);
    private byte[] _bytes;

    /// <summary>An empty one.</summary>
    public HeaderBuffer() => _bytes = _small;

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
        if (_bytes.Length <= MostKeptBytes)
            return;
        if (_bytes.Length <= MostSparedBytes)
            _spare = _bytes;
        _bytes = _small;
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
        byte[] larger = Larger(needed);
        Written.CopyTo(larger);
        _bytes = larger;
    }

    private byte[] Larger(long needed)
    {
        if (needed > MostKeptBytes && _spare is { } spare && spare.Length >= needed)
        {
            _spare = null;
            return spare;
        }
        long grown = Math.Min(Array.MaxLength, Math.Max(needed, 2L * _bytes.Length));
        return GC.AllocateUninitializedArray<byte>((int)Math.Max(grown, needed), pinned: true);
    }
}

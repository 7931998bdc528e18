using System.Runtime.InteropServices;

namespace TransferQueue.Interop;

/// <summary>A few bytes for Python to read, in memory of their own: the pool has a lock, this has none.</summary>
internal sealed unsafe class NativeBlock : IDisposable
{
    private byte* _address;

    /// <summary>Takes memory, unfilled.</summary>
    public NativeBlock(int bytes)
    {
        Length = bytes;
        _address = (byte*)NativeMemory.Alloc((nuint)Math.Max(bytes, 1));
    }

    /// <summary>Copies bytes.</summary>
    public NativeBlock(ReadOnlySpan<byte> bytes)
        : this(bytes.Length) => bytes.CopyTo(new Span<byte>(_address, Length));

    /// <summary>Where it is.</summary>
    public long Address => (long)_address;

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.Free(_address);
        _address = null;
    }
}

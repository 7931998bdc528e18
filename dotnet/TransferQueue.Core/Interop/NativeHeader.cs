using System.Runtime.InteropServices;

namespace TransferQueue.Interop;

/// <summary>A header that was made here and waits to be read by Python, in memory of its own (the pool has a lock, this has none).</summary>
internal sealed unsafe class NativeHeader : IDisposable
{
    private byte* _address;

    /// <summary>Copies a header.</summary>
    public NativeHeader(ReadOnlySpan<byte> header)
    {
        _address = (byte*)NativeMemory.Alloc((nuint)Math.Max(header.Length, 1));
        header.CopyTo(new Span<byte>(_address, header.Length));
    }

    /// <summary>Where it is.</summary>
    public long Address => (long)_address;

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.Free(_address);
        _address = null;
    }
}

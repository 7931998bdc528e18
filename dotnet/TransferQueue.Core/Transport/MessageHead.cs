using System.Buffers;
using System.Buffers.Binary;

namespace TransferQueue.Transport;

/// <summary>
/// Collects prelude, lengths and header from bytes that come in any pieces. Each part is checked as soon as it is there, and room is
/// made as bytes come, never as a length says. Not thread-safe.
/// </summary>
internal sealed class MessageHead
{
    private const int FirstBytes = 1 << 10;
    private byte[]? _bytes;
    private int _have;
    private int _wanted = Prelude.Bytes;
    private int _checkedParts;
    private Prelude _prelude;

    /// <summary>The prelude, once <see cref="Take"/> has seen it.</summary>
    public ref readonly Prelude Prelude => ref _prelude;

    /// <summary>Whether nothing of a message has come yet.</summary>
    public bool IsEmpty => _have == 0;

    /// <summary>Takes bytes of a head.</summary>
    /// <param name="bytes">What came; what is taken is cut off its front.</param>
    /// <param name="limits">What a message may have.</param>
    /// <param name="error">What is wrong with it, or null.</param>
    /// <param name="head">The whole head, when it is complete: valid until the next call.</param>
    /// <returns>Whether the head is complete; call <see cref="Clear"/> when it was used.</returns>
    public bool Take(ref ReadOnlySpan<byte> bytes, TransportLimits limits, out TransferQueueException? error, out ReadOnlySpan<byte> head)
    {
        head = default;
        if (_have == 0 && TryInPlace(ref bytes, limits, out error, out head))
            return error is null;
        while (true)
        {
            int taken = Math.Min(bytes.Length, _wanted - _have);
            Append(bytes[..taken]);
            bytes = bytes[taken..];
            if (_have < _wanted)
            {
                error = null;
                return false;
            }
            head = _bytes.AsSpan(0, _have);
            if (_checkedParts == 2)
            {
                error = null;
                return true;
            }
            error = CheckNextPart(head, limits);
            if (error is not null)
                return false;
        }
    }

    /// <summary>Begins the next message.</summary>
    public void Clear()
    {
        if (_bytes is not null)
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = null;
        _have = 0;
        _wanted = Prelude.Bytes;
        _checkedParts = 0;
    }

    /// <summary>Copies the frame lengths out of a complete head.</summary>
    public static void CopyLengths(ReadOnlySpan<byte> head, Span<ulong> lengths)
    {
        for (int i = 0; i < lengths.Length; i++)
            lengths[i] = BinaryPrimitives.ReadUInt64LittleEndian(head[(Prelude.Bytes + i * sizeof(ulong))..]);
    }

    /// <summary>The usual case: the whole head is there, nothing needs copying.</summary>
    /// <returns>Whether that settled it, with a head or with an error.</returns>
    private bool TryInPlace(ref ReadOnlySpan<byte> bytes, TransportLimits limits, out TransferQueueException? error, out ReadOnlySpan<byte> head)
    {
        error = null;
        head = default;
        if (bytes.Length < Prelude.Bytes)
            return false;
        _prelude = Prelude.Read(bytes);
        error = _prelude.Check(limits);
        if (error is not null)
            return true;
        if (bytes.Length < Prelude.Bytes + _prelude.HeadBytes)
            return false;
        head = bytes[..(Prelude.Bytes + _prelude.HeadBytes)];
        bytes = bytes[head.Length..];
        error = CheckLengths(head, limits);
        return true;
    }

    private TransferQueueException? CheckNextPart(ReadOnlySpan<byte> head, TransportLimits limits)
    {
        if (_checkedParts++ == 0)
        {
            _prelude = Prelude.Read(head);
            TransferQueueException? wrong = _prelude.Check(limits);
            _wanted = wrong is null ? Prelude.Bytes + (int)_prelude.FrameCount * sizeof(ulong) : _wanted;
            return wrong;
        }
        _wanted = Prelude.Bytes + _prelude.HeadBytes;
        return CheckLengths(head, limits);
    }

    private TransferQueueException? CheckLengths(ReadOnlySpan<byte> head, TransportLimits limits)
    {
        const int MostOnStack = 64;
        int count = (int)_prelude.FrameCount;
        Span<ulong> lengths = count <= MostOnStack ? stackalloc ulong[MostOnStack] : new ulong[count];
        lengths = lengths[..count];
        CopyLengths(head, lengths);
        return _prelude.CheckLengths(lengths, limits);
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        int needed = _have + bytes.Length;
        if (_bytes is null || needed > _bytes.Length)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(FirstBytes, Math.Min(_wanted, 2 * needed)));
            _bytes.AsSpan(0, _have).CopyTo(larger);
            if (_bytes is not null)
                ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = larger;
        }
        bytes.CopyTo(_bytes.AsSpan(_have));
        _have = needed;
    }
}

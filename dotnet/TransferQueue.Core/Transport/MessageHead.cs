using System.Buffers;
using System.Buffers.Binary;

namespace TransferQueue.Transport;

/// <summary>
/// Collects prelude, lengths, places and header from bytes that come in any pieces. Each part is checked as soon as it is there, and room is
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
    /// <param name="head">Prelude and what follows it.</param>
    /// <param name="lengths">As long as there are frames.</param>
    public static void CopyLengths(ReadOnlySpan<byte> head, Span<ulong> lengths) => CopyNumbers(head[Prelude.Bytes..], lengths);

    /// <summary>Copies the places out of a complete head that has them.</summary>
    /// <param name="head">Prelude and what follows it.</param>
    /// <param name="places">As long as there are frames.</param>
    public static void CopyPlaces(ReadOnlySpan<byte> head, Span<ulong> places) =>
        CopyNumbers(head[(Prelude.Bytes + places.Length * sizeof(ulong))..], places);

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
        error = CheckFrames(head, limits);
        return true;
    }

    private TransferQueueException? CheckNextPart(ReadOnlySpan<byte> head, TransportLimits limits)
    {
        if (_checkedParts++ == 0)
        {
            _prelude = Prelude.Read(head);
            TransferQueueException? wrong = _prelude.Check(limits);
            _wanted = wrong is null ? Prelude.Bytes + _prelude.FrameListBytes : _wanted;
            return wrong;
        }
        _wanted = Prelude.Bytes + _prelude.HeadBytes;
        return CheckFrames(head, limits);
    }

    private TransferQueueException? CheckFrames(ReadOnlySpan<byte> head, TransportLimits limits)
    {
        const int MostOnStack = 128;
        int frames = (int)_prelude.FrameCount;
        int count = _prelude.HasPlaces ? 2 * frames : frames;
        ulong[]? rented = count <= MostOnStack ? null : ArrayPool<ulong>.Shared.Rent(count);
        Span<ulong> numbers = rented ?? stackalloc ulong[MostOnStack];
        CopyNumbers(head[Prelude.Bytes..], numbers[..count]);
        TransferQueueException? wrong = _prelude.CheckFrames(numbers[..frames], numbers[frames..count], limits);
        if (rented is not null)
            ArrayPool<ulong>.Shared.Return(rented);
        return wrong;
    }

    private static void CopyNumbers(ReadOnlySpan<byte> bytes, Span<ulong> numbers)
    {
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(i * sizeof(ulong))..]);
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

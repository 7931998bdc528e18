using TransferQueue.Memory;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Client;

/// <summary>
/// An answer in native memory: one buffer with a table for the frames' addresses, their lengths and the header, and one per frame,
/// so that each can go back on its own.
/// </summary>
/// <remarks>Whoever takes <see cref="Head"/> or a frame (<see cref="TakeHead"/>, <see cref="TakeFrame"/>) disposes it; Dispose gives back the rest.</remarks>
internal sealed unsafe class ClientReply : IDisposable
{
    /// <summary>Numbers per frame in the table that Interop hands out: address, length, handle.</summary>
    private const int TableColumns = 3;

    private readonly NativeBuffer?[] _frames;
    private NativeBuffer? _head;

    /// <summary>Takes room for what a checked prelude announces; frames get theirs one by one.</summary>
    public ClientReply(Prelude prelude)
    {
        Prelude = prelude;
        _frames = new NativeBuffer?[prelude.FrameCount];
        _head = ClientMemory.Pool.Rent(TableBytes + prelude.HeadBytes);
    }

    /// <summary>Its first 48 bytes.</summary>
    public Prelude Prelude { get; }

    /// <summary>Whether it is an ERROR.</summary>
    public bool IsError => Prelude.Type == (ushort)MessageType.Error;

    /// <summary>The request that it answers.</summary>
    public ulong RequestId => Prelude.RequestId;

    /// <summary>Payload frames.</summary>
    public int FrameCount => _frames.Length;

    /// <summary>Room for three numbers per frame.</summary>
    public Span<long> Table => new(Head.Address, FrameCount * TableColumns);

    /// <summary>The buffer that holds table, lengths and header.</summary>
    public NativeBuffer Head => _head ?? throw new ObjectDisposedException(nameof(ClientReply));

    /// <summary>Bytes of each frame, as they came.</summary>
    public ReadOnlySpan<ulong> FrameLengths => new(Head.Address + TableBytes, FrameCount);

    /// <summary>The header.</summary>
    public NativeSegment Header => NativeSegment.At(Head.Address + TableBytes + FrameCount * sizeof(ulong), Prelude.HeaderBytes);

    /// <summary>The header in memory of its own.</summary>
    public ReadOnlyMemory<byte> CopyHeader() => new ReadOnlySpan<byte>(Header.Pointer, (int)Header.Length).ToArray();

    /// <summary>Where lengths and header are received to.</summary>
    internal NativeSegment HeadBytes => NativeSegment.At(Head.Address + TableBytes, Prelude.HeadBytes);

    private int TableBytes => FrameCount * TableColumns * sizeof(long);

    /// <summary>The frame's buffer; null if it has no bytes or was taken.</summary>
    public NativeBuffer? GetFrame(int frame) => _frames[frame];

    /// <summary>Makes the frame's buffer the caller's.</summary>
    public NativeBuffer? TakeFrame(int frame)
    {
        NativeBuffer? buffer = _frames[frame];
        _frames[frame] = null;
        return buffer;
    }

    /// <summary>Makes the head the caller's; table and header may be read until he disposes it.</summary>
    public NativeBuffer TakeHead()
    {
        NativeBuffer head = Head;
        _head = null;
        return head;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _head?.Dispose();
        _head = null;
        for (int frame = 0; frame < _frames.Length; frame++)
            TakeFrame(frame)?.Dispose();
    }

    internal NativeBuffer MakeFrame(int frame) => _frames[frame] = ClientMemory.Pool.Rent((long)FrameLengths[frame]);
}

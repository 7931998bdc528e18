using TransferQueue.Client;
using TransferQueue.Memory;

namespace TransferQueue.Interop;

/// <summary>Reads what Python passes, and refuses what can't be right before a bad address ends the process.</summary>
internal static unsafe class Arguments
{
    private const int SegmentColumns = 3;

    /// <summary>Bytes at an address.</summary>
    /// <exception cref="InvalidArgumentException">There can be none.</exception>
    public static ReadOnlySpan<byte> Span(long address, long length)
    {
        if (length is < 0 or > int.MaxValue || (address == 0 && length > 0))
            throw new InvalidArgumentException($"arguments: {length} bytes at address {address} can't be read");
        return new ReadOnlySpan<byte>((void*)address, (int)length);
    }

    /// <summary>A request structure.</summary>
    /// <exception cref="InvalidArgumentException">Its numbers contradict each other.</exception>
    public static ClientRequest Request(long type, long address)
    {
        NativeRequest native = *(NativeRequest*)address;
        if (type is < 1 or > ushort.MaxValue)
            throw new InvalidArgumentException($"request: {type} is no message type");
        if (native.TimeoutMilliseconds is < 0 or > uint.MaxValue)
            throw new InvalidArgumentException($"request: a timeout of {native.TimeoutMilliseconds} ms; give 0 to {uint.MaxValue}");
        var header = Span(native.Header, native.HeaderBytes);
        var request = new ClientRequest((ushort)type, new NativeSegment((nint)native.Header, header.Length), Segments(native), TimeSpan.FromMilliseconds(native.TimeoutMilliseconds));
        if (request.FrameLengths.Length != native.FrameCount)
            throw new InvalidArgumentException($"request: {native.FrameCount} frames announced, the segments have {request.FrameLengths.Length}");
        return request;
    }

    private static FrameSegment[] Segments(NativeRequest native)
    {
        if (native.SegmentCount is < 0 or > (int.MaxValue / SegmentColumns) || (native.Segments == 0 && native.SegmentCount > 0))
            throw new InvalidArgumentException($"request: {native.SegmentCount} segments at address {native.Segments} can't be read");
        var numbers = new ReadOnlySpan<long>((void*)native.Segments, (int)native.SegmentCount * SegmentColumns);
        var segments = native.SegmentCount == 0 ? [] : new FrameSegment[native.SegmentCount];
        for (int i = 0; i < segments.Length; i++)
        {
            long at = numbers[i * SegmentColumns], length = numbers[i * SegmentColumns + 1], frame = numbers[i * SegmentColumns + 2];
            if (length < 0 || (at == 0 && length > 0) || frame < 0 || frame > i)
                throw new InvalidArgumentException($"request: segment {i} of {length} bytes at address {at} in frame {frame} can't be");
            segments[i] = new FrameSegment(new NativeSegment((nint)at, length), (int)frame);
        }
        return segments;
    }
}

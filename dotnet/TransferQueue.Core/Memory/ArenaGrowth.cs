namespace TransferQueue.Memory;

/// <summary>A step by which an <see cref="Arena"/> grows: planned and committed by the writer, carried out by any one thread between the two.</summary>
/// <param name="segment">Where.</param>
/// <param name="offset">First byte that is taken: where the segment's taken part ends.</param>
/// <param name="neededBytes">Bytes without which it is of no use, whole pages.</param>
/// <param name="wishedBytes">Bytes that are taken if the system has them, whole pages.</param>
internal sealed class ArenaGrowth(ArenaSegment segment, long offset, long neededBytes, long wishedBytes)
{
    /// <summary>Where.</summary>
    public ArenaSegment Segment { get; } = segment;

    /// <summary>First byte that is taken.</summary>
    public long Offset { get; } = offset;

    /// <summary>Bytes without which it is of no use.</summary>
    public long NeededBytes { get; } = neededBytes;

    /// <summary>Bytes that are taken if the system has them.</summary>
    public long WishedBytes { get; } = wishedBytes;

    /// <summary>Bytes that were taken; 0 until <see cref="Arena.Take"/> came back.</summary>
    public long TakenBytes { get; internal set; }
}

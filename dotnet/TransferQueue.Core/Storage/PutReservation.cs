using System.Collections.Immutable;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>Room for the columns of one put, into which the transport receives its frames, or where the client has written them already.</summary>
/// <remarks>
/// Made and ended by the writer (<see cref="StorageManager.Reserve"/>, then <see cref="StorageManager.Complete"/> and the put's
/// record, or <see cref="StorageManager.Abandon"/>); between that one worker fills and verifies it.
/// </remarks>
internal sealed unsafe class PutReservation
{
    internal PutReservation(int rows, ImmutableArray<ReservedColumn> columns)
    {
        Rows = rows;
        Columns = columns;
        Segments = [.. columns.Where(column => column.Loaned is null).SelectMany(column => column.Segments)];
        FrameLengths = [.. columns.Select(column => column.FrameBytes)];
    }

    /// <summary>Rows.</summary>
    public int Rows { get; }

    /// <summary>Where the payload goes: stretches that hold the frames that are in the message, one behind the other, in their order.</summary>
    public ImmutableArray<NativeSegment> Segments { get; }

    /// <summary>Bytes of each frame.</summary>
    public ImmutableArray<long> FrameLengths { get; }

    /// <summary>Whether <see cref="Verify"/> touches a file, which only a worker may.</summary>
    public bool TouchesFile => Columns.Any(column => column.File.Length > 0 || (column.IsInFile && column.Descriptor.Layout.HasOffsets));

    /// <summary>Bytes that <see cref="Verify"/> reads.</summary>
    public long VerifiedBytes => Columns.Sum(column => column.Descriptor.Layout.ValuesStart(Rows));

    internal ImmutableArray<ReservedColumn> Columns { get; }

    /// <summary>Whether <see cref="Verify"/> has passed.</summary>
    internal bool IsVerified { get; private set; }

    /// <summary>Checks the frames that were received and reads the sizes of their rows. A worker's thread.</summary>
    /// <exception cref="ProtocolException">A frame's offsets or shapes contradict its layout or length.</exception>
    /// <exception cref="LimitExceededException">A row has 2^31 slices or more.</exception>
    public void Verify()
    {
        foreach (ReservedColumn column in Columns)
            column.Verify(Rows);
        IsVerified = true;
    }
}

using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>Room for the columns of one put, into which the transport receives its frames.</summary>
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
        Segments = [.. columns.SelectMany(column => column.Segments)];
        FrameLengths = [.. columns.Select(column => column.FrameBytes)];
    }

    /// <summary>Rows.</summary>
    public int Rows { get; }

    /// <summary>Where the payload goes: stretches that hold the frames, one behind the other, in the frames' order.</summary>
    public ImmutableArray<NativeSegment> Segments { get; }

    /// <summary>Bytes of each frame.</summary>
    public ImmutableArray<long> FrameLengths { get; }

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

/// <summary>Room for one column of a put.</summary>
internal sealed unsafe class ReservedColumn
{
    /// <summary>The field and how its rows lie.</summary>
    public required ColumnDescriptor Descriptor { get; init; }

    /// <summary>Bytes of its frame.</summary>
    public required long FrameBytes { get; init; }

    /// <summary>Where its frame goes, in order; no empty ones.</summary>
    public required ImmutableArray<NativeSegment> Segments { get; init; }

    /// <summary>The extents and the rows of each; of a staged column, not there yet.</summary>
    public required ImmutableArray<(int Unit, int Rows, ExtentRef Extent)> Slices { get; init; }

    /// <summary>A column with offsets that several units share is received here, since the offsets say where to cut it; else null.</summary>
    public NativeBuffer? Staging { get; init; }

    /// <summary>The sizes of the rows, as <see cref="StoredColumn.Sizes"/> has them.</summary>
    public int[]? Sizes { get; private set; }

    /// <summary>The whole frame. Only a column that isn't dense, or lies in one slice, has it in one stretch.</summary>
    public byte* Frame => Segments.IsEmpty ? null : Segments[0].Pointer;

    internal void Verify(int rows)
    {
        ColumnLayout layout = Descriptor.Layout;
        if (!layout.HasOffsets)
            return;
        ColumnFrame.Validate(Descriptor, Frame, FrameBytes, rows);
        if (layout.Kind == ColumnKind.Jagged)
            Sizes = Lengths(new ReadOnlySpan<long>(Frame, rows + 1));
        else if (layout.Kind == ColumnKind.Ragged)
            Sizes = new ReadOnlySpan<int>(Frame + (rows + 1L) * sizeof(long), checked(rows * layout.Rank)).ToArray();
    }

    private int[] Lengths(ReadOnlySpan<long> offsets)
    {
        var lengths = new int[offsets.Length - 1];
        for (int i = 0; i < lengths.Length; i++)
        {
            long length = offsets[i + 1] - offsets[i];
            lengths[i] = length <= int.MaxValue ? (int)length : throw new LimitExceededException(
                $"column '{Descriptor.Name}': row {i} has {length} slices along its ragged dimension; a row may have {int.MaxValue}");
        }
        return lengths;
    }
}

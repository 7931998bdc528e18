using System.Collections.Immutable;
using System.Runtime.InteropServices;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>Room for one column of a put.</summary>
internal sealed unsafe class ReservedColumn
{
    /// <summary>Bytes at the start of a frame that goes to a file which are received in memory: all that arrives before a mover takes over.</summary>
    public const long MostHeadBytes = 256 << 10;

    /// <summary>The field and how its rows lie.</summary>
    public required ColumnDescriptor Descriptor { get; init; }

    /// <summary>Bytes of its frame.</summary>
    public required long FrameBytes { get; init; }

    /// <summary>Where its frame goes, or is, in order; no empty ones.</summary>
    public required ImmutableArray<NativeSegment> Segments { get; init; }

    /// <summary>The extents and the rows of each; of a staged column, not there yet.</summary>
    public required ImmutableArray<(int Unit, int Rows, ExtentRef Extent)> Slices { get; init; }

    /// <summary>A column with offsets that several units share is received here, since the offsets say where to cut it; of one that goes to a file, the start; else null.</summary>
    public NativeBuffer? Staging { get; init; }

    /// <summary>The extent out of a loan that its client has written to, and may go on writing to; null: the frame is in the message.</summary>
    public TakenExtent? Loaned { get; init; }

    /// <summary>The extent of a column that goes to a file and comes in the message; else empty.</summary>
    public NativeSegment File { get; init; }

    /// <summary>Whether its extent lies in a file.</summary>
    public bool IsInFile { get; init; }

    /// <summary>The sizes of the rows, as <see cref="StoredColumn.Sizes"/> has them.</summary>
    public int[]? Sizes { get; private set; }

    /// <summary>The whole frame. Only a column that isn't dense, or lies in one slice, has it in one stretch.</summary>
    public NativeSegment Frame => File.Length > 0 ? File : Segments.IsEmpty ? default : Segments[0].Take(FrameBytes);

    internal void Verify(int rows)
    {
        if (File.Length > 0)
            CopyKernels.Copy(Staging!.Segment.Pointer, File.Pointer, Math.Min(FrameBytes, Staging.Length));
        ColumnLayout layout = Descriptor.Layout;
        if (!layout.HasOffsets)
            return;
        if (Loaned is null)
        {
            Verify(Frame.Pointer, layout, rows);
            return;
        }
        // The client could change what was just checked: the check and the sizes see one copy.
        nuint bytes = (nuint)layout.ValuesStart(rows);
        byte* head = (byte*)NativeMemory.AlignedAlloc(bytes, ColumnLayout.Alignment);
        try
        {
            Buffer.MemoryCopy(Frame.Pointer, head, bytes, bytes);
            Verify(head, layout, rows);
        }
        finally
        {
            NativeMemory.AlignedFree(head);
        }
    }

    private void Verify(byte* head, in ColumnLayout layout, int rows)
    {
        ColumnFrame.Validate(Descriptor, head, FrameBytes, rows);
        if (layout.Kind == ColumnKind.Jagged)
            Sizes = Lengths(new ReadOnlySpan<long>(head, rows + 1));
        else if (layout.Kind == ColumnKind.Ragged)
            Sizes = new ReadOnlySpan<int>(head + (rows + 1L) * sizeof(long), checked(rows * layout.Rank)).ToArray();
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

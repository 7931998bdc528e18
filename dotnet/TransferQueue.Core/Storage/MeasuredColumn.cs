using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>A column of a reply whose bytes are counted: in pieces of one layout each.</summary>
/// <param name="runs">Its rows.</param>
/// <param name="pieces">The pieces, in the order of the rows.</param>
internal sealed class MeasuredColumn(ColumnRuns runs, ImmutableArray<MeasuredPiece> pieces)
{
    /// <summary>The field.</summary>
    public string Name => runs.Name;

    /// <summary>Its element type.</summary>
    public DType DType => runs.DType;

    /// <summary>The pieces.</summary>
    public ImmutableArray<MeasuredPiece> Pieces => pieces;

    /// <summary>Bytes of its frame: all pieces, each at a multiple of 64.</summary>
    public long FrameBytes { get; } = Measure(pieces);

    private static long Measure(ImmutableArray<MeasuredPiece> pieces)
    {
        long start = 0, end = 0;
        foreach (MeasuredPiece piece in pieces)
        {
            end = start + piece.Bytes;
            start = piece.ToPiece().NextStart(start);
        }
        return end;
    }
}

/// <summary>Rows of one layout, and how many bytes they take.</summary>
/// <remarks>Immutable; what it was measured from may change since, in memory that clients can write to: the measures count.</remarks>
internal sealed class MeasuredPiece
{
    private readonly ReadOnlyMemory<ColumnRun> _runs;

    /// <summary>Per run where its rows begin and end, in units of the layout; null for dense rows.</summary>
    private readonly OffsetRows[]? _tables;
    private readonly StorageManager _storage;

    /// <summary>Measures runs: reads two offsets of each that has some.</summary>
    /// <param name="storage">Where they are.</param>
    /// <param name="layout">That of all of them, or one that is jagged along the first dimension, in which dense ones fit too.</param>
    /// <param name="runs">The runs, at least one.</param>
    /// <exception cref="ProtocolException">Offsets that a client has damaged.</exception>
    public MeasuredPiece(StorageManager storage, ColumnLayout layout, ReadOnlyMemory<ColumnRun> runs)
    {
        (_storage, _runs) = (storage, runs);
        Layout = layout;
        long bytes = 0;
        _tables = Layout.HasOffsets ? new OffsetRows[runs.Length] : null;
        for (int i = 0; i < runs.Length; i++)
        {
            ColumnRun run = runs.Span[i];
            Rows += run.Count;
            if (_tables is null)
                continue;
            _tables[i] = run.Column.Layout.HasOffsets
                ? new OffsetRows(storage.Segment(run.Column), Layout, run.Column.Rows, run.First, run.Count)
                : OffsetRows.Uniform(storage.Segment(run.Column), Layout, run.Column.Layout.Shape[0], run.First, run.Count);
            bytes += _tables[i].ValueBytes;
        }
        ValueBytes = _tables is null ? Rows * Layout.UnitBytes : bytes;
        HeadBytes = Layout.ValuesStart(Rows);
    }

    /// <summary>How the rows lie.</summary>
    public ColumnLayout Layout { get; }

    /// <summary>Rows.</summary>
    public int Rows { get; }

    /// <summary>Bytes of offsets, shapes and padding.</summary>
    public long HeadBytes { get; }

    /// <summary>Bytes of values.</summary>
    public long ValueBytes { get; }

    /// <summary>Whether the values of one stretch lie in a file.</summary>
    public bool IsInFile(int run) => _storage.IsFile(_runs.Span[run].Column.Unit);

    /// <summary>Bytes of both.</summary>
    public long Bytes => HeadBytes + ValueBytes;

    /// <summary>Stretches of rows.</summary>
    public ReadOnlySpan<ColumnRun> Runs => _runs.Span;

    /// <summary>What the reply's header says of it.</summary>
    public ColumnPiece ToPiece() => new(Layout, Rows, Bytes);

    /// <summary>The values of one stretch.</summary>
    public NativeSegment Values(int run)
    {
        if (_tables is not null)
            return _tables[run].Values;
        ColumnRun rows = _runs.Span[run];
        long row = Layout.UnitBytes;
        return _storage.Segment(rows.Column).Skip(rows.First * row).Take(rows.Count * row);
    }

    /// <summary>Where the values of the first stretch begin in its stored column, in bytes from its start.</summary>
    public long FirstValue => _tables is null ? _runs.Span[0].First * Layout.UnitBytes : Layout.ValuesStart(_runs.Span[0].Column.Rows) + _tables[0].Start * Layout.UnitBytes;

    /// <summary>Writes offsets, shapes and padding.</summary>
    /// <param name="head">Room for <see cref="HeadBytes"/>.</param>
    public unsafe void CopyHeadTo(byte* head)
    {
        if (_tables is null)
            return;
        new Span<byte>(head, checked((int)HeadBytes)).Clear();
        long end = 0;
        int row = 0;
        foreach (OffsetRows table in _tables)
        {
            end = table.CopyEndsTo(new Span<long>((long*)head + row + 1, table.Count), end);
            if (Layout.Kind == ColumnKind.Ragged)
                table.CopyShapesTo(new Span<int>(head + (Rows + 1L) * sizeof(long) + (long)row * Layout.Rank * sizeof(int), table.Count * Layout.Rank));
            row += table.Count;
        }
    }
}

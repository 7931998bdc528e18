using System.Collections.Immutable;
using System.Runtime.InteropServices;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <content>Columns: descriptors of requests, pieces of replies; both checked against the lengths of their frames.</content>
internal ref partial struct HeaderReader
{
    /// <summary>Up to so many names a linear search needs no set.</summary>
    private const int LinearNames = 16;

    /// <summary>Reads one descriptor [name, kind, dtype, shape] per frame.</summary>
    /// <exception cref="ProtocolException">A layout contradicts itself, or a name comes twice.</exception>
    internal ImmutableArray<ColumnDescriptor> Columns()
    {
        int count = List(Limits.Frames);
        if (count == 0)
            return [];
        var columns = new ColumnDescriptor[count];
        var names = count > LinearNames ? new HashSet<string>(count) : null;
        for (int i = 0; i < count; i++)
        {
            Tuple(4);
            string name = Name();
            if (names is null ? Contains(columns.AsSpan(0, i), name) : !names.Add(name))
                throw Broken($"the column '{name}' twice");
            var kind = Kind();
            columns[i] = new ColumnDescriptor(name, Layout(name, kind, DType()));
        }
        return ImmutableCollectionsMarshal.AsImmutableArray(columns);
    }

    private static bool Contains(ReadOnlySpan<ColumnDescriptor> columns, string name)
    {
        foreach (ref readonly var column in columns)
        {
            if (column.Name == name)
                return true;
        }
        return false;
    }

    /// <summary>Reads the columns [name, dtype, [[kind, rows, shape, bytes], …], frames?] of a reply.</summary>
    internal ImmutableArray<ReplyColumn> ReplyColumns()
    {
        int count = List(Limits.Frames);
        var columns = ImmutableArray.CreateBuilder<ReplyColumn>(count);
        for (int i = 0; i < count; i++)
        {
            int items = List(4);
            if (items < 3)
                throw Broken($"an array of {items} where one of 3 or 4 belongs");
            string name = Name();
            var dtype = DType();
            var column = new ReplyColumn(name, dtype, Pieces(name, dtype), items == 4 ? (int)Integer(ReplyColumn.MostFrames, ReplyColumn.MostFrames) : 1);
            if (column.Frames > 1 && (column.Pieces.Length != 1 || !column.Pieces[0].Layout.HasOffsets))
                throw Broken($"the column '{name}' in two frames, with {column.Pieces.Length} pieces; only one piece with offsets may be cut");
            columns.Add(column);
        }
        return columns.MoveToImmutable();
    }

    /// <summary>Reads segments [number, length].</summary>
    internal ImmutableArray<SharedSegment> Segments()
    {
        int count = List(Limits.Frames);
        var segments = ImmutableArray.CreateBuilder<SharedSegment>(count);
        for (int i = 0; i < count; i++)
        {
            Tuple(2);
            segments.Add(new SharedSegment((int)Integer(0, int.MaxValue), Integer(1)));
        }
        return segments.MoveToImmutable();
    }

    /// <summary>Reads the shape of a row.</summary>
    internal ImmutableArray<long> Shape()
    {
        int rank = List(Limits.Dimensions);
        if (rank == 0)
            return [];
        var shape = new long[rank];
        for (int i = 0; i < rank; i++)
            shape[i] = Integer(-1);
        return ImmutableCollectionsMarshal.AsImmutableArray(shape);
    }

    /// <summary>Reads the number of a dtype, −1 included.</summary>
    internal DType DType()
    {
        var dtype = (DType)Integer(sbyte.MinValue, sbyte.MaxValue);
        return dtype == TransferQueue.Columns.DType.None || dtype.IsTensor() ? dtype : throw Broken($"dtype {(int)dtype} is unknown");
    }

    private ColumnKind Kind() => (ColumnKind)Integer(0, (long)ColumnKind.Object);

    private ColumnLayout Layout(string name, ColumnKind kind, DType dtype)
    {
        var layout = new ColumnLayout(kind, dtype, Shape());
        ColumnFrame.CheckLayout(name, layout);
        return layout;
    }

    private ImmutableArray<ColumnPiece> Pieces(string name, DType dtype)
    {
        int count = List(Limits.Rows);
        var pieces = ImmutableArray.CreateBuilder<ColumnPiece>(count);
        for (int i = 0; i < count; i++)
        {
            Tuple(4);
            var kind = Kind();
            int rows = Rows();
            var layout = Layout(name, kind, dtype);
            long bytes = Integer(0, Limits.FrameBytes);
            ColumnFrame.CheckLength(new ColumnDescriptor(name, layout), rows, bytes);
            pieces.Add(new ColumnPiece(layout, rows, bytes));
        }
        return pieces.MoveToImmutable();
    }
}

using System.Buffers;
using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;

namespace TransferQueue.Storage;

/// <summary>What a stored column is called, unique in the life of a core.</summary>
/// <param name="Unit">Its unit.</param>
/// <param name="Segment">Its extent's segment.</param>
/// <param name="Offset">Where the extent begins.</param>
/// <param name="Epoch">Which life of that room.</param>
internal readonly record struct ColumnName(int Unit, int Segment, long Offset, uint Epoch)
{
    /// <summary>The name of a column.</summary>
    public static ColumnName Of(StoredColumn column) => new(column.Unit, column.Extent.Segment, column.Extent.Offset, column.Extent.Epoch);
}

/// <summary>A column in a checkpoint file: a section of it has its frame.</summary>
/// <param name="Name">What it was called.</param>
/// <param name="Layout">How its rows lie.</param>
/// <param name="Rows">Its rows.</param>
internal sealed record CheckpointColumn(ColumnName Name, ColumnLayout Layout, int Rows)
{
    /// <summary>Most dimensions of a column.</summary>
    private const int MostDimensions = 64;

    /// <summary>Writes the descriptions of a file's columns, in the order of its sections.</summary>
    public static ReadOnlyMemory<byte> Write(IReadOnlyList<StoredColumn> columns)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteArrayHeader(columns.Count);
        foreach (StoredColumn column in columns)
        {
            writer.WriteArrayHeader(8);
            writer.Write(column.Unit);
            writer.Write(column.Extent.Segment);
            writer.Write(column.Extent.Offset);
            writer.Write(column.Extent.Epoch);
            writer.Write((byte)column.Layout.Kind);
            writer.Write((sbyte)column.Layout.DType);
            writer.WriteArrayHeader(column.Layout.Rank);
            foreach (long extent in column.Layout.Shape.AsSpan())
                writer.Write(extent);
            writer.Write(column.Rows);
        }
        writer.Flush();
        return buffer.WrittenMemory;
    }

    /// <summary>Reads the descriptions of a file and holds them against the lengths of its sections.</summary>
    /// <exception cref="CheckpointException">They can't be right.</exception>
    public static ImmutableArray<CheckpointColumn> Read(CheckpointFileReader file)
    {
        try
        {
            var reader = new MessagePackReader(file.Descriptions);
            int count = reader.ReadArrayHeader();
            if (count != file.SectionBytes.Length)
                throw file.Damaged($"{count} columns are described, {file.SectionBytes.Length} are there");
            var columns = ImmutableArray.CreateBuilder<CheckpointColumn>(count);
            for (int i = 0; i < count; i++)
            {
                CheckpointColumn column = ReadOne(ref reader);
                ColumnFrame.CheckLayout(file.Path, column.Layout);
                ColumnFrame.CheckLength(new ColumnDescriptor(file.Path, column.Layout), column.Rows, file.SectionBytes[i]);
                columns.Add(column);
            }
            return reader.End ? columns.MoveToImmutable() : throw file.Damaged("bytes behind the descriptions of its columns");
        }
        catch (Exception error) when (error is MessagePackSerializationException or EndOfStreamException or OverflowException or ProtocolException)
        {
            throw file.Damaged($"the description of its columns can't be right ({error.Message})");
        }
    }

    private static CheckpointColumn ReadOne(ref MessagePackReader reader)
    {
        if (reader.ReadArrayHeader() != 8)
            throw new ProtocolException("a column of another number of values");
        ColumnName name = new(reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt64(), reader.ReadUInt32());
        var kind = (ColumnKind)reader.ReadByte();
        var dtype = (DType)reader.ReadSByte();
        int rank = reader.ReadArrayHeader();
        if (rank > MostDimensions)
            throw new ProtocolException($"a column of {rank} dimensions");
        var shape = ImmutableArray.CreateBuilder<long>(rank);
        while (shape.Count < rank)
            shape.Add(reader.ReadInt64());
        int rows = reader.ReadInt32();
        return rows >= 0 ? new CheckpointColumn(name, new ColumnLayout(kind, dtype, shape.MoveToImmutable()), rows) : throw new ProtocolException($"a column of {rows} rows");
    }
}

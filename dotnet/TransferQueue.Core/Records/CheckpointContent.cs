using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using MessagePack;
using TransferQueue.Control;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>What a checkpoint is made of: the controller's state and what belongs to it. Immutable.</summary>
/// <param name="Core">Which life of the core it is of.</param>
/// <param name="Image">The controller's state.</param>
/// <param name="Sampler">Name and arguments of the sampler.</param>
/// <param name="SamplerState">What a user's own sampler remembers, as its process packed it; null: nothing.</param>
/// <param name="Forgotten">Partitions that were cleared and that the sampler had not been told of yet.</param>
internal sealed record CheckpointContent(
    Guid Core, ControllerImage Image, string Sampler, ReadOnlyMemory<byte>? SamplerState = null, ImmutableArray<string> Forgotten = default)
{
    /// <summary>The folder of the storage half.</summary>
    internal const string StorageFolder = "simple_storage";

    /// <summary>The file of the controller half.</summary>
    internal const string ControllerFile = "controller_state.tqc";

    /// <summary>The file for people: whether columns were saved, and what the caller wants to be kept with them.</summary>
    internal const string MetadataFile = "metadata.json";

    /// <summary>The list of the storage units, in their folder.</summary>
    internal const string UnitList = "storage_unit_info.json";
}

/// <summary>A file that the controller half vouches for.</summary>
/// <param name="Name">Its path in the checkpoint's folder.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Hash">Its checksum; of a checkpoint file that of the header, which covers everything.</param>
internal sealed record VouchedFile(string Name, long Bytes, ulong Hash);

/// <summary>What a controller half says before its sections. Immutable.</summary>
/// <param name="Sampler">As in <see cref="CheckpointContent"/>.</param>
/// <param name="SamplerState">As in <see cref="CheckpointContent"/>.</param>
/// <param name="Forgotten">As in <see cref="CheckpointContent"/>.</param>
/// <param name="Files">The other files; none where the half was saved alone.</param>
/// <param name="NameSections">Sections with the names of columns; those of the image follow.</param>
internal sealed record ControllerHead(string Sampler, ReadOnlyMemory<byte>? SamplerState, ImmutableArray<string> Forgotten, ImmutableArray<VouchedFile> Files, int NameSections)
{
    /// <summary>Writes it.</summary>
    public ReadOnlyMemory<byte> Write()
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteArrayHeader(5);
        writer.Write(Sampler);
        if (SamplerState is { } state)
            writer.Write(state.Span);
        else
            writer.WriteNil();
        RecordWriter.Texts(ref writer, Forgotten.IsDefault ? [] : Forgotten);
        writer.WriteArrayHeader(Files.Length);
        foreach (VouchedFile file in Files)
        {
            writer.WriteArrayHeader(3);
            writer.Write(file.Name);
            writer.Write(file.Bytes);
            writer.Write(file.Hash);
        }
        writer.Write(NameSections);
        writer.Flush();
        return buffer.WrittenMemory;
    }

    /// <summary>Reads it.</summary>
    /// <exception cref="CheckpointException">It can't be right.</exception>
    public static ControllerHead Read(CheckpointFileReader file)
    {
        try
        {
            var reader = new MessagePackReader(file.Descriptions);
            RecordReader.Array(ref reader, 5);
            string sampler = RecordReader.Text(ref reader);
            ReadOnlyMemory<byte>? state = reader.ReadBytes() is { } bytes ? bytes.ToArray() : null;
            ImmutableArray<string> forgotten = RecordReader.List(ref reader, RecordReader.Text);
            ImmutableArray<VouchedFile> files = RecordReader.List(ref reader, (ref MessagePackReader r) =>
            {
                RecordReader.Array(ref r, 3);
                return new VouchedFile(RecordReader.Text(ref r), r.ReadInt64(), r.ReadUInt64());
            });
            var head = new ControllerHead(sampler, state, forgotten, files, reader.ReadInt32());
            return reader.End && head.NameSections >= 0 && head.NameSections <= file.SectionBytes.Length ? head : throw file.Damaged("its head can't be right");
        }
        catch (Exception error) when (error is MessagePackSerializationException or EndOfStreamException or OverflowException or ProtocolException)
        {
            throw file.Damaged($"its head can't be right ({error.Message})");
        }
    }

    /// <summary>Writes the names of some columns as one section.</summary>
    internal static byte[] WriteNames(ReadOnlySpan<ColumnName> names) => MemoryMarshal.AsBytes(Packed(names)).ToArray();

    /// <summary>Reads the names of a section.</summary>
    internal static ColumnName[] ReadNames(ReadOnlySpan<byte> section)
    {
        if (section.Length % (4 * sizeof(long)) != 0)
            throw new ProtocolException("names of columns that are cut off");
        ReadOnlySpan<long> packed = MemoryMarshal.Cast<byte, long>(section);
        var names = new ColumnName[packed.Length / 4];
        for (int i = 0; i < names.Length; i++)
            names[i] = new ColumnName((int)packed[4 * i], (int)packed[4 * i + 1], packed[4 * i + 2], (uint)packed[4 * i + 3]);
        return names;
    }

    private static ReadOnlySpan<long> Packed(ReadOnlySpan<ColumnName> names)
    {
        long[] packed = new long[4 * names.Length];
        for (int i = 0; i < names.Length; i++)
            (packed[4 * i], packed[4 * i + 1], packed[4 * i + 2], packed[4 * i + 3]) = (names[i].Unit, names[i].Segment, names[i].Offset, names[i].Epoch);
        return packed;
    }
}

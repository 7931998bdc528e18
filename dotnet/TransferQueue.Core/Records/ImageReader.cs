using System.Collections.Immutable;
using MessagePack;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Protocol;

namespace TransferQueue.Records;

/// <summary>Puts an image together from the sections that <see cref="ImageWriter"/> wrote, and refuses what no controller can have had.</summary>
/// <param name="blocks">The blocks by number; none of them has live cells yet.</param>
internal sealed class ImageReader(IReadOnlyList<ColumnBlock> blocks)
{
    private readonly List<uint> _generations = [];
    private readonly List<PartitionImage> _partitions = [];
    private readonly HashSet<string> _names = [];

    /// <summary>A bit per global index that a row has, or that waits to be given out.</summary>
    private readonly ReadinessBitmap _seen = new();
    private long _next = -1;
    private (long Start, long Count)[] _free = [];
    private PartitionReader? _partition;
    private bool _hasEnded;

    /// <summary>Takes the next section.</summary>
    /// <exception cref="ProtocolException">It can't be right.</exception>
    public void Add(ReadOnlyMemory<byte> section)
    {
        try
        {
            var reader = new MessagePackReader(section);
            int values = reader.ReadArrayHeader();
            Add((ImageSection)reader.ReadInt32(), values - 1, ref reader);
            Require(reader.End, "bytes behind the end of a section");
        }
        catch (Exception error) when (error is MessagePackSerializationException or EndOfStreamException or OverflowException)
        {
            throw new ProtocolException($"state: {error.Message}");
        }
    }

    /// <summary>The image, when all sections were there.</summary>
    /// <exception cref="ProtocolException">Something is missing.</exception>
    public ControllerImage Finish()
    {
        Require(_hasEnded, "it has no end");
        return new ControllerImage([.. _partitions], new PoolImage(_next, _free, [.. _generations]));
    }

    internal static void Require(bool condition, string what)
    {
        if (!condition)
            throw new ProtocolException($"state: {what}");
    }

    private void Add(ImageSection kind, int values, ref MessagePackReader reader)
    {
        Require(!_hasEnded && (_next >= 0) == (kind != ImageSection.Pool), $"a section of kind {(int)kind} in a wrong place");
        Require(values == Values(kind), $"a section of kind {(int)kind} with {values} values");
        switch (kind)
        {
            case ImageSection.Pool:
                AddPool(ref reader);
                break;
            case ImageSection.Generations:
                _generations.AddRange(RecordReader.Numbers<uint>(ref reader));
                break;
            case ImageSection.Partition:
                EndPartition();
                _partition = new PartitionReader(Name(ref reader), blocks);
                Require(_names.Add(_partition.Name), $"the partition '{_partition.Name}' comes twice");
                break;
            case ImageSection.End:
                EndPartition();
                Require(reader.ReadInt32() == _partitions.Count, $"{_partitions.Count} partitions, not as many as there were");
                Require(_generations.Count == _next, $"{_generations.Count} generations of {_next} indexes");
                _hasEnded = true;
                break;
            default:
                Require(_partition is not null, $"a section of kind {(int)kind} outside of a partition");
                _partition!.Add(kind, ref reader);
                break;
        }
    }

    private static int Values(ImageSection kind) => kind switch
    {
        ImageSection.Pool => 2,
        ImageSection.Rows or ImageSection.Task => 3,
        ImageSection.Field => 5,
        ImageSection.Generations or ImageSection.Partition or ImageSection.KeyOrder or ImageSection.PreAllocated or ImageSection.Batch or ImageSection.End => 1,
        _ => throw new ProtocolException($"state: a section of the unknown kind {(int)kind}"),
    };

    internal static string Name(ref MessagePackReader reader)
    {
        string name = RecordReader.Text(ref reader);
        Require(name.Length > 0 && System.Text.Encoding.UTF8.GetByteCount(name) <= ProtocolLimits.Default.NameBytes, "a name that is empty or too long");
        return name;
    }

    private void AddPool(ref MessagePackReader reader)
    {
        _next = reader.ReadInt64();
        ImmutableArray<long> free = RecordReader.Numbers<long>(ref reader);
        Require(_next is >= 0 and <= int.MaxValue && free.Length % 2 == 0, "a pool that can't be");
        _free = [.. free.AsSpan().ToArray().Chunk(2).Select(run => (run[0], run[1]))];
        foreach (var (start, count) in _free)
        {
            Require(start >= 0 && count > 0 && start <= _next - count && _seen.CountRange((int)start, (int)count) == 0, "free indexes that can't be");
            _seen.SetRange((int)start, (int)count);
        }
    }

    private void EndPartition()
    {
        if (_partition is null)
            return;
        PartitionImage image = _partition.Finish();
        foreach (long index in image.Indexes)
            Require(index >= 0 && index < _next && _seen.Set((int)index), $"the index {index} has two owners, or was never given out");
        _partitions.Add(image);
        _partition = null;
    }
}

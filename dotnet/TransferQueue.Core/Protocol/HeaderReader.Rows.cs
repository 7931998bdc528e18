using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <content>The shapes that name rows: keys, runs of partitions, indexes, generations.</content>
internal ref partial struct HeaderReader
{
    private static readonly HeaderKeys PackedKeysKeys = new("n", "k");

    /// <summary>Reads keys without taking them apart.</summary>
    internal PackedKeys PackedKeys()
    {
        var map = Map();
        int? count = null;
        ReadOnlyMemory<byte>? joined = null;
        while (map.Next(PackedKeysKeys) is { } key)
        {
            if (key == "n")
                count = map.Rows();
            else
                joined = map.Binary();
        }
        return new PackedKeys(map.Required(count, "n"), map.Required(joined, "k"));
    }

    /// <summary>Reads keys.</summary>
    internal ImmutableArray<string> Keys() => PackedKeys().Unpack((int)Limits.KeyBytes);

    /// <summary>Reads runs of partitions.</summary>
    internal ImmutableArray<PartitionRun> Parts()
    {
        int count = List(Limits.Rows);
        var runs = ImmutableArray.CreateBuilder<PartitionRun>(count);
        string last = "";
        for (int i = 0; i < count; i++)
        {
            Tuple(2);
            string partition = Name();
            // Runs of a few names share the strings.
            last = partition == last ? last : partition;
            runs.Add(new PartitionRun(last, (int)Integer(1, Limits.Rows)));
        }
        return runs.MoveToImmutable();
    }

    /// <summary>Reads global indexes.</summary>
    internal ImmutableArray<long> Indexes() => Numbers<long>(Limits.Rows);

    /// <summary>Reads generations.</summary>
    internal ImmutableArray<uint> Generations() => Numbers<uint>(Limits.Rows);

    /// <summary>Puts together the rows that parts, indexes and generations name.</summary>
    /// <exception cref="ProtocolException">One is missing, or their lengths differ.</exception>
    internal readonly RowSelection Selection(ImmutableArray<PartitionRun> parts, ImmutableArray<long> indexes, ImmutableArray<uint> generations)
    {
        Required(parts, "parts");
        Required(indexes, "indexes");
        long rows = parts.Sum(run => (long)run.Count);
        if (rows != indexes.Length)
            throw new ProtocolException($"{What}: the runs of 'parts' have {rows} rows, 'indexes' {indexes.Length}");
        if (!generations.IsDefault && generations.Length != indexes.Length)
            throw new ProtocolException($"{What}: {generations.Length} 'generations' for {indexes.Length} 'indexes'");
        return new RowSelection(parts, indexes, generations);
    }
}

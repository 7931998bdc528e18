using System.Collections.Immutable;
using TransferQueue.Columns;

namespace TransferQueue.Protocol;

/// <summary>The entries of a PUT while they are read.</summary>
internal struct PutFields
{
    /// <summary>n.</summary>
    internal int? Rows;

    /// <summary>The partition of all rows.</summary>
    internal string? Partition;

    /// <summary>Keys, or default.</summary>
    internal ImmutableArray<string> Keys;

    /// <summary>Rows by index, once <see cref="CheckRowNames"/> has put it together.</summary>
    internal RowSelection? Selection;

    /// <summary>Tags, not split yet.</summary>
    internal ReadOnlyMemory<byte>? Tags;

    /// <summary>Columns, or default.</summary>
    internal ImmutableArray<ColumnDescriptor> Columns;

    /// <summary>What the reply tells.</summary>
    internal PutWant? Want;

    private ImmutableArray<PartitionRun> _parts;
    private ImmutableArray<long> _indexes;
    private ImmutableArray<uint> _generations;

    /// <summary>Reads one entry.</summary>
    internal void Read(string key, ref HeaderReader reader)
    {
        switch (key)
        {
            case "n":
                Rows = reader.Rows();
                break;
            case "partition":
                Partition = reader.Name();
                break;
            case "parts":
                _parts = reader.Parts();
                break;
            case "keys":
                Keys = reader.Keys();
                break;
            case "indexes":
                _indexes = reader.Indexes();
                break;
            case "generations":
                _generations = reader.Generations();
                break;
            case "tags":
                Tags = reader.Binary();
                break;
            case "columns":
                Columns = reader.Columns();
                break;
            default:
                Want = ReadWant(ref reader);
                break;
        }
    }

    /// <summary>Checks that the rows are named in one way, and as many as n.</summary>
    internal void CheckRowNames(ref HeaderReader reader, int rows)
    {
        if (Partition is not null && !_parts.IsDefault)
            throw new ProtocolException("PUT: 'partition' and 'parts'; one of them says where the rows are");
        if (_indexes.IsDefault)
        {
            CheckNamedByKeys(ref reader, rows);
            return;
        }
        if (!Keys.IsDefault)
            throw new ProtocolException("PUT: 'keys' and 'indexes'; one of them names the rows");
        if (_indexes.Length != rows)
            throw new ProtocolException($"PUT: n is {rows}, 'indexes' has {_indexes.Length}");
        if (Partition is not null)
            _parts = rows == 0 ? [] : [new PartitionRun(Partition, rows)];
        Selection = reader.Selection(_parts, _indexes, _generations);
    }

    private readonly void CheckNamedByKeys(ref HeaderReader reader, int rows)
    {
        reader.Required(Partition, "partition");
        if (!_generations.IsDefault)
            throw new ProtocolException("PUT: 'generations' without 'indexes'");
        if (!Keys.IsDefault && Keys.Length != rows)
            throw new ProtocolException($"PUT: n is {rows}, 'keys' has {Keys.Length}");
    }

    private static PutWant ReadWant(ref HeaderReader reader) => reader.Name() switch
    {
        "none" => PutWant.None,
        "kv" => PutWant.Kv,
        "meta" => PutWant.Meta,
        var other => throw reader.Broken($"'{other}'; there are none, kv, meta"),
    };
}

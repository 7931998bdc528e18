using System.Text.Json.Nodes;
using TransferQueue.Columns;

namespace TransferQueue.Tests.Records;

/// <summary>What a queue must do, in the simplest form: a dictionary per row.</summary>
internal sealed class QueueModel
{
    /// <summary>Partitions in the order of their creation.</summary>
    public List<(string Name, ModelPartition Rows)> Partitions { get; } = [];

    private readonly Queue<long> _free = new();
    private readonly Dictionary<long, uint> _generations = [];
    private long _next;

    public ModelPartition? Find(string name) => Partitions.FirstOrDefault(pair => pair.Name == name).Rows;

    public uint Generation(long index) => _generations.GetValueOrDefault(index, 1u);

    public List<ModelRow> PutKeys(string partition, string[] keys, TestColumn[] columns, string[]? tags)
    {
        ModelPartition rows = FindOrCreate(partition);
        List<ModelRow> touched = [];
        foreach (string key in keys)
        {
            ModelRow? row = rows.ByKey(key);
            if (row is null)
            {
                row = New(rows);
                row.Key = key;
                rows.KeyOrder.Add(row);
            }
            touched.Add(row);
        }
        Write(rows, touched, columns, tags);
        return touched;
    }

    public List<ModelRow> Insert(string partition, int count, TestColumn[] columns)
    {
        ModelPartition rows = FindOrCreate(partition);
        List<ModelRow> touched = [.. Enumerable.Range(0, count).Select(_ => New(rows))];
        Write(rows, touched, columns, null);
        return touched;
    }

    public static void Write(ModelPartition partition, List<ModelRow> rows, TestColumn[] columns, string[]? tags)
    {
        foreach (TestColumn column in columns)
        {
            if (rows.Count > 0)
                partition.Fields.Add(column.Name);
            for (int i = 0; i < rows.Count; i++)
                rows[i].Cells[column.Name] = (column.Cells[i], column.Layout.DType);
        }
        for (int i = 0; tags is not null && i < rows.Count; i++)
        {
            foreach (var (key, value) in JsonNode.Parse(tags[i])!.AsObject())
                rows[i].Tag[key] = value!.ToJsonString();
        }
    }

    /// <summary>Rows that a fetch gets, or null.</summary>
    public static List<ModelRow>? Fetch(ModelPartition? partition, string task, string[] fields, int count)
    {
        List<ModelRow> ready = [.. (partition?.Rows.Values ?? Enumerable.Empty<ModelRow>()).Where(row => fields.All(row.Cells.ContainsKey) && !row.Consumed.Contains(task)).Take(count)];
        if (ready.Count < count)
            return null;
        ready.ForEach(row => row.Consumed.Add(task));
        return ready;
    }

    /// <summary>Removes rows of one call, whatever partitions they are in.</summary>
    public void Clear(IEnumerable<(ModelPartition Partition, ModelRow Row)> rows)
    {
        foreach (var (partition, row) in rows.OrderBy(pair => pair.Row.Index).ToList())
        {
            partition.Rows.Remove(row.Index);
            partition.KeyOrder.Remove(row);
            _generations[row.Index] = Generation(row.Index) + 1;
            _free.Enqueue(row.Index);
        }
    }

    public bool ClearPartition(string name)
    {
        if (Find(name) is not { } partition)
            return false;
        Clear(partition.Rows.Values.Select(row => (partition, row)));
        Partitions.RemoveAll(pair => pair.Name == name);
        return true;
    }

    private ModelPartition FindOrCreate(string name)
    {
        if (Find(name) is { } found)
            return found;
        Partitions.Add((name, new ModelPartition()));
        return Partitions[^1].Rows;
    }

    private ModelRow New(ModelPartition partition)
    {
        ModelRow row = new() { Index = _free.TryDequeue(out long index) ? index : _next++ };
        partition.Rows.Add(row.Index, row);
        return row;
    }
}

/// <summary>The rows of a partition, by global index.</summary>
internal sealed class ModelPartition
{
    public SortedDictionary<long, ModelRow> Rows { get; } = [];

    public List<ModelRow> KeyOrder { get; } = [];

    public HashSet<string> Fields { get; } = [];

    public ModelRow? ByKey(string key) => KeyOrder.Find(row => row.Key == key);

    /// <summary>The element type that a field has now, or null.</summary>
    public DType? TypeOf(string field) => Rows.Values.Where(row => row.Cells.ContainsKey(field)).Select(row => (DType?)row.Cells[field].DType).FirstOrDefault();
}

/// <summary>One row.</summary>
internal sealed class ModelRow
{
    public long Index { get; init; }

    public string? Key { get; set; }

    /// <summary>JSON of each entry's value.</summary>
    public Dictionary<string, string> Tag { get; } = [];

    public Dictionary<string, (Cell Cell, DType DType)> Cells { get; } = [];

    public HashSet<string> Consumed { get; } = [];
}

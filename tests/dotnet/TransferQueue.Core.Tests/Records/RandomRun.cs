using System.Text.Json.Nodes;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>Random requests, right and wrong ones, against a queue and its model.</summary>
internal sealed class RandomRun(TestQueue queue, int seed)
{
    private static readonly string[] Partitions = ["train", "val", "step_3"];
    private static readonly string[] Tasks = ["reward", "update"];
    private static readonly string[] Fields = ["ids", "mask", "text", "logp", "odd"];

    private readonly Random _random = new(seed);
    private int _tags;

    public QueueModel Model { get; } = new();

    /// <summary>Refused requests.</summary>
    public int Refused { get; private set; }

    public void Step()
    {
        switch (_random.Next(20))
        {
            case < 7:
                PutKeys();
                break;
            case < 9:
                PutNew();
                break;
            case < 10:
                PutByIndex();
                break;
            case < 14:
                Fetch();
                break;
            case < 16:
                ClearKeys();
                break;
            case < 17:
                ClearRows();
                break;
            case < 18:
                SetTags();
                break;
            case < 19:
                Reset();
                break;
            default:
                if (_random.Next(4) == 0)
                    ClearPartition();
                break;
        }
    }

    /// <summary>Compares everything that can be asked for.</summary>
    public void AssertAgrees()
    {
        Assert.Equal(Model.Partitions.Select(pair => pair.Name), queue.Controller.Partitions.Select(partition => partition.Name));
        Assert.Equal(Model.Partitions.Sum(pair => pair.Rows.Rows.Count), queue.Controller.RowCount);
        Assert.Equal(Model.Partitions.Sum(pair => pair.Rows.Rows.Values.Count(row => row.Cells.Count > 0)), queue.Controller.StoredCount);
        foreach (var (name, partition) in Model.Partitions)
        {
            AssertListing(name, partition);
            AssertStatus(name, partition);
            AssertRows(name, partition);
        }
    }

    private void PutKeys()
    {
        string partition = Any(Partitions);
        string[] keys = [.. Enumerable.Range(0, 40).OrderBy(_ => _random.Next()).Take(_random.Next(1, 12)).Select(i => $"k{i}")];
        TestColumn[] columns = Columns(keys.Length, _random.Next(0, 4));
        string[]? tags = columns.Length == 0 || _random.Next(2) == 0 ? Tags(keys.Length) : null;
        if (!Conflicts(partition, columns))
        {
            queue.Put(TestQueue.ByKeys(partition, keys, tags ?? []), columns);
            Model.PutKeys(partition, keys, columns, tags);
            return;
        }
        Refused++;
        Assert.Throws<SchemaMismatchException>(() => queue.Put(TestQueue.ByKeys(partition, keys, tags ?? []), columns));
    }

    private void PutNew()
    {
        string partition = Any(Partitions);
        int count = _random.Next(0, 9);
        TestColumn[] columns = _random.Next(2) == 0 ? [] : Columns(count, 2);
        if (columns.Length == 0)
        {
            queue.State.Insert(partition, count, []);
            Model.Insert(partition, count, []);
        }
        else if (!Conflicts(partition, columns))
        {
            queue.Put(TestQueue.New(partition, count), columns);
            Model.Insert(partition, count, columns);
        }
    }

    private void PutByIndex()
    {
        var rows = SomeRows(out RowSelection selection);
        if (rows.Count == 0)
            return;
        TestColumn[] columns = Columns(rows.Count, 2);
        if (rows.Any(pair => Conflicts(pair.Partition, columns)))
            return;
        queue.Put(TestQueue.ByRows(selection), columns);
        int row = 0;
        foreach (var (partition, modelRow) in rows)
        {
            QueueModel.Write(partition, [modelRow], [.. columns.Select(column => column with { Cells = [column.Cells[row]] })], null);
            row++;
        }
    }

    private void Fetch()
    {
        string partition = Any(Partitions), task = Any(Tasks);
        string[] fields = [.. Fields.OrderBy(_ => _random.Next()).Take(_random.Next(1, 3))];
        int count = _random.Next(1, 6);
        List<ModelRow>? expected = QueueModel.Fetch(Model.Find(partition), task, fields, count);
        bool found = queue.State.TryFetch(new FetchQuery(partition, task, [.. fields], count), out BatchMeta? meta);
        Assert.Equal(expected?.Select(row => row.Index), found ? meta!.GlobalIndexes : null);
    }

    private void ClearKeys()
    {
        string partition = Any(Partitions);
        string[] keys = [.. Enumerable.Range(0, _random.Next(1, 8)).Select(_ => $"k{_random.Next(45)}")];
        ModelRow[] rows = [.. keys.Distinct().Select(key => Model.Find(partition)?.ByKey(key)).OfType<ModelRow>()];
        Assert.Equal(rows.Length, queue.State.Apply(new ClearKeysRecord(partition, [.. keys])));
        Model.Clear(rows.Select(row => (Model.Find(partition)!, row)));
    }

    private void ClearRows()
    {
        var rows = SomeRows(out RowSelection selection);
        Assert.Equal(rows.Count, queue.State.Apply(new ClearRowsRecord(selection)));
        Model.Clear(rows);
        // The same rows again are gone, also where their indexes have new owners by now.
        Assert.Equal(0, queue.State.Apply(new ClearRowsRecord(selection)));
    }

    private void SetTags()
    {
        var rows = SomeRows(out RowSelection selection);
        string[] tags = Tags(rows.Count);
        bool replace = _random.Next(2) == 0;
        queue.State.Apply(new SetTagsRecord(selection, TestQueue.Tags(tags), replace));
        for (int i = 0; i < rows.Count; i++)
        {
            if (replace)
                rows[i].Row.Tag.Clear();
            QueueModel.Write(rows[i].Partition, [rows[i].Row], [], [tags[i]]);
        }
    }

    private void Reset()
    {
        string partition = Any(Partitions);
        string? task = _random.Next(2) == 0 ? null : Any(Tasks);
        Assert.Equal(Model.Find(partition) is not null, queue.State.Apply(new ResetConsumptionRecord(partition, task)));
        foreach (ModelRow row in Model.Find(partition)?.Rows.Values ?? Enumerable.Empty<ModelRow>())
            row.Consumed.RemoveWhere(consumed => task is null || consumed == task);
    }

    private void ClearPartition()
    {
        string partition = Any(Partitions);
        Assert.Equal(Model.ClearPartition(partition), queue.State.Apply(new ClearPartitionRecord(partition)));
    }

    /// <summary>Some rows of some partitions, in no order.</summary>
    private List<(ModelPartition Partition, ModelRow Row)> SomeRows(out RowSelection selection)
    {
        var rows = Model.Partitions.SelectMany(pair => pair.Rows.Rows.Values.Select(row => (pair.Name, pair.Rows, Row: row)))
            .OrderBy(_ => _random.Next()).Take(_random.Next(0, 7)).ToList();
        selection = new RowSelection(
            [.. rows.Select(row => new PartitionRun(row.Name, 1))], [.. rows.Select(row => row.Row.Index)], [.. rows.Select(row => Model.Generation(row.Row.Index))]);
        return [.. rows.Select(row => (row.Rows, row.Row))];
    }

    private bool Conflicts(string partition, TestColumn[] columns) => Model.Find(partition) is { } rows && Conflicts(rows, columns);

    private static bool Conflicts(ModelPartition partition, TestColumn[] columns) =>
        columns.Any(column => partition.TypeOf(column.Name) is { } dtype && dtype != column.Layout.DType);

    private TestColumn[] Columns(int rows, int count) => [.. Fields.OrderBy(_ => _random.Next()).Take(count).Select(field => Column(field, rows))];

    private TestColumn Column(string field, int rows) => field switch
    {
        "ids" => TestColumn.Jagged(_random, field, DType.Int32, Lengths(rows), -1),
        "mask" => TestColumn.Dense(_random, field, DType.Bool, rows, _random.Next(1, 3), 3),
        "text" when _random.Next(2) == 0 => TestColumn.Text(field, [.. Lengths(rows).Select(length => new string('é', length))]),
        "text" => TestColumn.Object(field, [.. Lengths(rows).Select(length => new byte[length])]),
        "logp" when _random.Next(3) == 0 => TestColumn.Ragged(_random, field, DType.Float32, [.. Lengths(rows).Select(length => Enumerable.Repeat(2, length % 3).ToArray())]),
        "logp" => TestColumn.Jagged(_random, field, DType.Float32, Lengths(rows), 4, -1),
        _ => TestColumn.Dense(_random, field, _random.Next(12) == 0 ? DType.Float64 : DType.Int64, rows),
    };

    private int[] Lengths(int rows) => [.. Enumerable.Range(0, rows).Select(_ => _random.Next(0, 6))];

    private string[] Tags(int rows) => [.. Enumerable.Range(0, rows).Select(_ => _random.Next(5) == 0 ? "{}" : $"{{\"t{_random.Next(4)}\":{_tags++}}}")];

    private T Any<T>(T[] values) => values[_random.Next(values.Length)];

    private void AssertListing(string name, ModelPartition partition)
    {
        PartitionListing listing = Assert.Single(queue.Controller.List(name));
        Assert.Equal(partition.KeyOrder.Select(row => row.Key), listing.Keys.Unpack());
        PackedTags tags = PackedTags.Parse(listing.Tags, partition.KeyOrder.Count);
        for (int i = 0; i < partition.KeyOrder.Count; i++)
            Assert.Equal(Sorted(partition.KeyOrder[i].Tag), Sorted(Entries(tags[i])));
    }

    private void AssertStatus(string name, ModelPartition partition)
    {
        foreach (string task in Tasks)
        {
            RowStatus consumed = queue.Controller.ConsumptionStatus(name, task)!;
            Assert.Equal(partition.Rows.Keys, consumed.Indexes.ToArray());
            Assert.Equal(partition.Rows.Values.Select(row => row.Consumed.Contains(task) ? (sbyte)1 : (sbyte)0), consumed.Status.ToArray());
            Assert.Equal(IsAll(consumed), queue.Controller.IsConsumed(name, task));
        }
        foreach (string field in Fields)
        {
            RowStatus? ready = queue.Controller.ProductionStatus(name, [field]);
            Assert.Equal(IsAll(ready), queue.Controller.IsProduced(name, [field]));
            Assert.Equal(partition.Fields.Contains(field), ready is not null);
            if (ready is not null)
                Assert.Equal(partition.Rows.Values.Select(row => row.Cells.ContainsKey(field) ? (sbyte)1 : (sbyte)0), ready.Status.ToArray());
        }
    }

    private static bool IsAll(RowStatus? status) => status is { Status.Length: > 0 } && !status.Status.Span.ContainsAnyExcept((sbyte)1);

    private void AssertRows(string name, ModelPartition partition)
    {
        foreach (string field in Fields)
        {
            ModelRow[] rows = [.. partition.Rows.Values.Where(row => row.Cells.ContainsKey(field)).OrderBy(_ => _random.Next())];
            if (rows.Length == 0)
                continue;
            var read = queue.Read(queue.Controller.PlanReadRows(queue.Select(name, [.. rows.Select(row => row.Index)]), [field]));
            Assert.Equal(rows.Select(row => row.Cells[field].Cell.ToString()), read[field].Select(cell => cell.ToString()));
        }
        Assert.All(partition.Rows.Values, row => Assert.Equal(Model.Generation(row.Index), queue.Controller.Pool.Generation(row.Index)));
    }

    private static Dictionary<string, string> Entries(ReadOnlyMemory<byte> tag) =>
        JsonNode.Parse(TestQueue.Json(tag))!.AsObject().ToDictionary(entry => entry.Key, entry => entry.Value!.ToJsonString());

    private static IEnumerable<KeyValuePair<string, string>> Sorted(Dictionary<string, string> entries) => entries.OrderBy(entry => entry.Key, StringComparer.Ordinal);
}

using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using TransferQueue.Sampling;
using TransferQueue.Storage;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>A checkpoint holds everything, and whatever is not as it was written is refused and changes nothing.</summary>
public sealed class CheckpointTests : IDisposable
{
    private const int Units = 2;

    private static readonly Guid Life = Guid.NewGuid();

    private readonly string _folder = Directory.CreateTempSubdirectory("tq-checkpoint").FullName;

    private string Place => Path.Combine(_folder, "checkpoint");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public void AfterARandomRunEverythingComesBack(int seed)
    {
        using TestQueue queue = new(units: 2);
        RandomRun run = new(queue, seed);
        for (int step = 0; step < 800; step++)
            run.Step();
        Save(queue);
        using TestQueue other = new(units: 3);
        other.PutKeys("before", ["gone"], TestColumn.Text("t", "x"));
        Load(other);
        Assert.Equal(Digest(queue), Digest(other));
        Assert.Contains("consumed:", Digest(other));
        Assert.Equal(other.Storage.UsedBytes, StoredBytes(other));
    }

    [Fact]
    public void AfterALoadTheQueueGoesOnAsTheOneThatWasSavedDoes()
    {
        using TestQueue queue = new(sampler: new SeqlenBalancedSampler(2, 2));
        queue.PutKeys("p", TestQueue.Keys("k", 8), TestColumn.Text("x", "a", "b", "c", "d", "e", "f", "g", "h"));
        queue.State.Apply(new ClearKeysRecord("p", ["k6", "k7"]));
        Assert.NotNull(Fetch(queue, 0));
        Save(queue);
        using TestQueue other = new(sampler: new SeqlenBalancedSampler(2, 2));
        Load(other);
        Assert.Equal(Fetch(queue, 1), Fetch(other, 1));
        Assert.Equal(Fetch(queue, 0), Fetch(other, 0));
        string[] keys = ["n0", "n1", "n2"];
        Assert.Equal(Indexes(queue.State.RetrieveMeta("q", [.. keys], create: true)), Indexes(other.State.RetrieveMeta("q", [.. keys], create: true)));
    }

    [Fact]
    public void WhatASamplerRemembersIsNotLoadedUnderAnotherOneThatWasRegisteredMeanwhile()
    {
        using TestQueue queue = new(sampler: new SeqlenBalancedSampler(2, 2));
        queue.PutKeys("p", TestQueue.Keys("k", 8), TestColumn.Text("x", "a", "b", "c", "d", "e", "f", "g", "h"));
        Assert.NotNull(Fetch(queue, 0));
        var record = new LoadRecord(queue.Controller.Capture(), 1000) { Sampler = queue.Controller.Sampler };
        queue.State.Validate(record);
        queue.State.UseSampler(new SeqlenBalancedSampler(2, 4));
        string before = StateDigest.Of(queue.State);
        int records = queue.Log.Count;
        Assert.Contains("load again", Assert.Throws<SamplerException>(() => queue.State.Apply(record)).Message);
        Assert.Equal((before, records), (StateDigest.Of(queue.State), queue.Log.Count));
    }

    [Fact]
    public void PreAllocatedRowsKeysInTheirOrderAndEmptiedPartitionsComeBack()
    {
        using TestQueue queue = new(preAllocate: 3);
        queue.PutKeys("emptied", ["a"], TestColumn.Text("t", "x"));
        queue.State.Apply(new ClearKeysRecord("emptied", ["a"]));
        queue.PutKeys("p", ["z", "m", "a"], TestColumn.Text("t", "1", "2", "3"));
        queue.State.Apply(new ClearKeysRecord("p", ["m"]));
        queue.PutKeys("p", ["m", "b"], TestColumn.Text("u", "4", "5"));
        queue.State.Insert("inserted", 2, []);
        Save(queue);
        using TestQueue other = new(preAllocate: 1);
        Load(other);
        Assert.Equal(["z", "a", "m", "b"], other.Controller.Find("p")!.List().Keys.Unpack());
        Assert.Equal(Digest(queue), Digest(other));
        Assert.Equal(["emptied", "p", "inserted"], other.Controller.Partitions.Select(partition => partition.Name));
    }

    [Fact]
    public void ARowOfAnotherLifeIsStaleAndASavedRowIsNot()
    {
        using TestQueue queue = new();
        queue.PutKeys("p", ["saved", "cleared"], TestColumn.Text("t", "x", "y"));
        BatchMeta saved = queue.Controller.KeysMeta("p", ["saved"]), cleared = queue.Controller.KeysMeta("p", ["cleared"]);
        queue.State.Apply(new ClearKeysRecord("p", ["cleared"]));
        Save(queue);
        queue.PutKeys("p", ["later"], TestColumn.Text("t", "z"));
        BatchMeta later = queue.Controller.KeysMeta("p", ["later"]);
        Load(queue);
        queue.PutKeys("p", ["other"], TestColumn.Text("t", "w"));
        Assert.Equal(Indexes(later), Indexes(queue.Controller.KeysMeta("p", ["other"])));
        Assert.Single(queue.Read(queue.Controller.PlanReadRows(queue.Select(saved), ["t"]))["t"]);
        Assert.Throws<StaleBatchException>(() => queue.Controller.PlanReadRows(queue.Select(later), ["t"]));
        Assert.Throws<StaleBatchException>(() => queue.Controller.PlanReadRows(queue.Select(cleared), ["t"]));
    }

    [Fact]
    public void TheRecordOfALoadCanBeReplayed()
    {
        using TestQueue queue = new();
        RandomRun run = new(queue, 5);
        for (int step = 0; step < 300; step++)
            run.Step();
        Save(queue);
        Load(queue);
        queue.PutKeys("p", ["after"], TestColumn.Text("t-after", "x"));
        Assert.Equal(StateDigest.Of(queue.State), StateDigest.Of(queue.Replay()));
    }

    [Fact]
    public void WhatIsClearedWhileItIsWrittenIsKeptUntilThen()
    {
        using TestQueue queue = new();
        queue.PutKeys("p", ["a"], TestColumn.Text("t", "before"));
        queue.Storage.Hold();
        ControllerImage image = queue.Controller.Capture();
        queue.State.Apply(new ClearPartitionRecord("p"));
        queue.PutKeys("p", ["b"], TestColumn.Text("t", "after!"));
        Assert.True(queue.Storage.HeldBytes > 0);
        Write(queue, image);
        queue.Storage.EndHold();
        while (queue.Storage.FreeSome())
        {
        }
        Assert.Equal(0, queue.Storage.HeldBytes);
        Assert.Equal(queue.Storage.UsedBytes, StoredBytes(queue));
        Load(queue);
        Assert.Equal(["a"], queue.Controller.Find("p")!.List().Keys.Unpack());
        Assert.Equal("before", System.Text.Encoding.UTF8.GetString(queue.Get("p", ["a"])["t"][0].Bytes));
    }

    [Fact]
    public void NothingIsAppliedWhileTheStateIsLookedAt()
    {
        using TestQueue queue = new();
        queue.State.IsFrozen = true;
        Assert.Throws<InvalidOperationException>(() => queue.State.Apply(new ClearPartitionRecord("p")));
    }

    [Fact]
    public void AnyFlippedByteOfAnyFileIsRefusedByNameAndChangesNothing()
    {
        using TestQueue queue = Some();
        Save(queue);
        using TestQueue other = Some();
        string before = StateDigest.Of(other.State);
        long used = other.Storage.UsedBytes;
        Random random = new(3);
        int tried = 0;
        foreach (string file in Files())
        {
            byte[] bytes = File.ReadAllBytes(file);
            for (int i = 0; i < bytes.Length; i += 1 + random.Next(1 + bytes.Length / 60))
            {
                byte[] damaged = [.. bytes];
                damaged[i] ^= (byte)(1 << random.Next(8));
                File.WriteAllBytes(file, damaged);
                TransferQueueException error = Assert.ThrowsAny<TransferQueueException>(() => Load(other));
                Assert.True(error.Kind is ErrorKind.Checkpoint or ErrorKind.CheckpointNotFound, $"{file} byte {i}: {error}");
                Assert.Contains(_folder, error.Message);
                tried++;
            }
            File.WriteAllBytes(file, bytes);
        }
        Assert.True(tried > 200, $"only {tried} tried");
        Assert.Equal(before, StateDigest.Of(other.State));
        Assert.Equal(used, other.Storage.UsedBytes);
        Load(other);
        Assert.Equal(Digest(queue), Digest(other));
    }

    [Fact]
    public void AFileThatIsCutOrLongerOrMissingIsRefused()
    {
        using TestQueue queue = Some();
        Save(queue);
        foreach (string file in Files())
        {
            byte[] bytes = File.ReadAllBytes(file);
            foreach (int length in new[] { 0, 1, 8, 71, 72, bytes.Length / 2, bytes.Length - 1 }.Where(length => length >= 0 && length < bytes.Length))
            {
                File.WriteAllBytes(file, bytes[..length]);
                Assert.Throws<CheckpointException>(() => Load(queue));
            }
            File.WriteAllBytes(file, [.. bytes, 0]);
            Assert.Throws<CheckpointException>(() => Load(queue));
            File.Delete(file);
            Assert.Throws<CheckpointNotFoundException>(() => Load(queue));
            File.WriteAllBytes(file, bytes);
        }
        Load(queue);
    }

    [Fact]
    public void FilesOfTwoCheckpointsDoNotMix()
    {
        using TestQueue queue = Some();
        Save(queue);
        string[] first = [.. Files()];
        string kept = Path.Combine(_folder, "kept");
        Directory.Move(Place, kept);
        queue.PutKeys("p", ["more"], TestColumn.Text("t", "x"));
        Save(queue);
        foreach (string file in first)
        {
            byte[] own = File.ReadAllBytes(file), foreign = File.ReadAllBytes(file.Replace(Place, kept, StringComparison.Ordinal));
            if (own.AsSpan().SequenceEqual(foreign))
                continue;
            File.WriteAllBytes(file, foreign);
            Assert.Throws<CheckpointException>(() => Load(queue));
            File.WriteAllBytes(file, own);
        }
        Load(queue);
    }

    [Fact]
    public void AnotherNumberOfUnitsIsRefused()
    {
        using TestQueue queue = Some();
        Save(queue);
        CheckpointException error = Assert.Throws<CheckpointException>(() => Load(queue, units: 3));
        Assert.Contains("count mismatch", error.Message);
    }

    [Fact]
    public void ACheckpointIsReplacedAndNothingElseIs()
    {
        using TestQueue queue = Some();
        Save(queue);
        queue.PutKeys("p", ["more"], TestColumn.Text("t", "x"));
        Save(queue);
        Load(queue);
        Assert.True(queue.Controller.Find("p")!.SlotsOf(["more"])[0] >= 0);
        Assert.Equal(["checkpoint"], Directory.EnumerateFileSystemEntries(_folder).Select(Path.GetFileName));
        string mine = Path.Combine(_folder, "mine");
        Directory.CreateDirectory(mine);
        File.WriteAllText(Path.Combine(mine, "precious.txt"), "x");
        Assert.Throws<InvalidArgumentException>(() => Write(queue, queue.Controller.Capture(), mine));
        Assert.True(File.Exists(Path.Combine(mine, "precious.txt")));
        Assert.False(Directory.Exists(mine + ".tmp"));
    }

    [Fact]
    public void WhatAnInterruptedSaveLeftIsInNobodysWay()
    {
        using TestQueue queue = Some();
        Save(queue);
        Directory.CreateDirectory(Path.Combine(Place + ".tmp", "simple_storage"));
        File.WriteAllText(Path.Combine(Place + ".tmp", "metadata.json"), "{");
        Load(queue);
        Save(queue);
        Assert.False(Directory.Exists(Place + ".tmp"));
        Load(queue);
    }

    [Fact]
    public void ARowLimitHoldsForALoadToo()
    {
        using TestQueue queue = Some();
        Save(queue);
        using TestQueue small = new(rowCapacity: 1);
        Assert.Throws<StorageFullException>(() => Load(small));
        Assert.Empty(small.Controller.Partitions);
        Assert.Equal(0, small.Storage.UsedBytes);
    }

    [Fact]
    public void ATooSmallColumnOfAStateThatLiesIsRefused()
    {
        StoredColumn column = new(new ColumnLayout(ColumnKind.Dense, DType.UInt8, []), 2, default, 0, null);
        ColumnBlock block = new(column);
        foreach (Segment lie in new[] { new Segment(0, 3, block, 0), new(0, 2, block, 1), new(1, 2, block, 0), new(0, 2, block, -1), new(-1, 1, block, 0), new(0, 0, block, 0) })
            Assert.Throws<ProtocolException>(() => Image(lie));
        Assert.Single(Image(new Segment(0, 2, block, 0)).Partitions);

        ControllerImage Image(Segment cells)
        {
            PartitionImage partition = new("p", [0, 1], [null, null], [null, null], [], [new FieldImage("f", [cells])], [], [], []);
            ControllerImage image = new([partition], new PoolImage(2, [], [1, 1]));
            ImageReader reader = new([new ColumnBlock(column)]);
            foreach (ReadOnlyMemory<byte> section in new ImageWriter(ImageWriter.Number(image.Blocks())).Write(image))
                reader.Add(section.ToArray());
            return reader.Finish();
        }
    }

    private static TestQueue Some()
    {
        TestQueue queue = new();
        Random random = new(1);
        queue.Put(TestQueue.ByKeys("p", ["a", "é"], "{\"t\":1}", "{}"), TestColumn.Jagged(random, "j", DType.Int8, [3, 0], 2, -1), TestColumn.Text("s", "x", ""));
        queue.Put(TestQueue.ByRows(queue.Select("p", 1, 0)), TestColumn.Ragged(random, "r", DType.Int8, [[1, 2], []]));
        queue.Put(TestQueue.New("p", 1), TestColumn.Dense(random, "d", DType.Bool, 1));
        queue.State.TryFetch(new FetchQuery("p", "task", ["j"], 2), out _);
        return queue;
    }

    private IEnumerable<string> Files() => Directory.EnumerateFiles(Place, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal);

    private void Save(TestQueue queue) => Write(queue, queue.Controller.Capture());

    private void Write(TestQueue queue, ControllerImage image, string? place = null) =>
        new CheckpointWriter(new CheckpointContent(Life, image, queue.Controller.SamplerName), queue.Storage, Units, _ => { }).WriteAll(place ?? Place, "{}");

    private void Load(TestQueue queue, int units = Units)
    {
        using CheckpointReader reader = CheckpointReader.OpenAll(Place, units, _ => { });
        List<OwnedExtent> extents = [];
        foreach (long bytes in reader.ColumnBytes)
        {
            Assert.True(queue.Storage.TryAllocate(bytes, out OwnedExtent extent));
            extents.Add(extent);
        }
        try
        {
            List<StoredColumn> unused = [];
            queue.State.Apply(new LoadRecord(reader.ReadContent(reader.ReadColumns(extents, queue.Storage), unused).Image, 1000));
            Assert.Empty(unused);
        }
        catch
        {
            queue.Storage.Free(extents);
            throw;
        }
        while (queue.Storage.FreeSome())
        {
        }
    }

    private static long StoredBytes(TestQueue queue) => queue.Controller.Capture().Blocks().Sum(block => queue.Storage.Units[block.Column.Unit].RoundUp(block.Column.Extent.Length));

    /// <summary>What can be seen but for slots and versions, which are a life's own, and generations of rows that there are not.</summary>
    private static string Digest(TestQueue queue) => string.Join('\n', StateDigest.Of(queue.State).Split('\n').Where(line => !line.StartsWith("generations", StringComparison.Ordinal))
        .Select(line => System.Text.RegularExpressions.Regex.Replace(line, @" (slot|version|segments) \d+", "")));

    private static long[] Indexes(BatchMeta meta) => [.. meta.GlobalIndexes];

    private static long[]? Fetch(TestQueue queue, int rank)
    {
        byte[] sampling = MessagePack.MessagePackSerializer.ConvertFromJson($"{{\"dp_rank\":{rank},\"batch_index\":0}}");
        return queue.State.TryFetch(new FetchQuery("p", "t", ["x"], 2, sampling), out BatchMeta? meta) ? Indexes(meta) : null;
    }
}

using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class RecordCodecTests
{
    [Fact]
    public void EveryKindIsWrittenReadAndWrittenAgainAsTheSameBytes()
    {
        List<byte[]> records = OneOfEach();
        Assert.Equal(Enum.GetValues<RecordKind>().Length, records.Select(record => RecordReader.Read(record).Kind).Distinct().Count());
        Assert.All(records, record => Assert.Equal(record, RecordWriter.Write(RecordReader.Read(record))));
    }

    [Fact]
    public void ARecordThatIsCutAnywhereIsRefused()
    {
        foreach (byte[] record in OneOfEach())
        {
            for (int length = 0; length < record.Length; length++)
                Assert.Throws<ProtocolException>(() => RecordReader.Read(record.AsMemory(0, length)));
            Assert.Throws<ProtocolException>(() => RecordReader.Read(new byte[] { 0x92, 0x63, 0x90 }));
            Assert.Throws<ProtocolException>(() => RecordReader.Read((byte[])[.. record, 0]));
        }
    }

    private static List<byte[]> OneOfEach()
    {
        using TestQueue queue = new(units: 2);
        Random random = new(1);
        queue.Put(TestQueue.ByKeys("p", ["a", "é"], "{\"t\":1}", "{}"), TestColumn.Jagged(random, "j", DType.Int8, [3, 0], 2, -1), TestColumn.Text("s", "x", ""));
        queue.Put(TestQueue.ByRows(queue.Select("p", 1, 0)), TestColumn.Ragged(random, "r", DType.Int8, [[1, 2], []]));
        queue.Put(TestQueue.New("p", 1), TestColumn.Dense(random, "d", DType.Bool, 1));
        queue.State.Insert("q", 3, []);
        queue.State.RetrieveMeta("q", ["new"], create: true);
        queue.State.TryFetch(new FetchQuery("p", "task", ["j"], 2), out _);
        queue.State.Apply(new SetTagsRecord(queue.Select("p", 0), TestQueue.Tags("{\"u\":null}"), true));
        queue.State.Apply(new ResetConsumptionRecord("p", "task"));
        queue.State.Apply(new ResetConsumptionRecord("p", null));
        queue.State.Apply(new ClearKeysRecord("p", ["a"]));
        queue.State.Apply(new ClearRowsRecord(queue.Select("p", 1) with { Generations = default }));
        queue.State.Apply(new ClearPartitionRecord("q"));
        queue.State.Apply(new LoadRecord(queue.Controller.Capture(), floor: 7));
        return queue.Log;
    }
}

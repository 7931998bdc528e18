using System.Collections.Immutable;
using TransferQueue.Columns;
using TransferQueue.Control;

namespace TransferQueue.Records;

internal sealed partial class StateMachine
{
    /// <summary>Makes rows without key, none of them ready.</summary>
    /// <param name="partition">Their partition; it is made if there is none.</param>
    /// <param name="count">How many, ≥ 0.</param>
    /// <param name="fields">The fields that they are to get: the batch says what is known of them.</param>
    /// <exception cref="InvalidArgumentException">A negative count.</exception>
    public BatchMeta Insert(string partition, int count, ImmutableArray<string> fields) =>
        Controller.InsertMeta(Apply(new InsertRecord(partition, count)), fields);

    /// <summary>The batch of rows by key.</summary>
    /// <param name="partition">Their partition.</param>
    /// <param name="keys">The keys, distinct if rows are made.</param>
    /// <param name="create">Whether unknown keys, and the partition, are made; else they are left out.</param>
    /// <exception cref="InvalidArgumentException">Rows are to be made and a key comes twice.</exception>
    public BatchMeta RetrieveMeta(string partition, ImmutableArray<string> keys, bool create)
    {
        if (!create)
            return Controller.KeysMeta(partition, keys);
        // Nothing to make: then there is no change and no record.
        bool known = Controller.Find(partition) is { } there && !there.SlotsOf(keys).Contains(-1);
        return known ? Controller.KeysMeta(partition, keys) : Controller.PutMeta(Apply(new CreateKeysRecord(partition, keys)));
    }
}

using MessagePack;
using TransferQueue.Control;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>The kind of a record, as it is written: never renumbered.</summary>
internal enum RecordKind
{
    /// <summary><see cref="PutRecord"/>.</summary>
    Put = 1,

    /// <summary><see cref="InsertRecord"/>.</summary>
    Insert = 2,

    /// <summary><see cref="CreateKeysRecord"/>.</summary>
    CreateKeys = 3,

    /// <summary><see cref="FetchRecord"/>.</summary>
    Fetch = 4,

    /// <summary><see cref="ClearKeysRecord"/>.</summary>
    ClearKeys = 5,

    /// <summary><see cref="ClearRowsRecord"/>.</summary>
    ClearRows = 6,

    /// <summary><see cref="ClearPartitionRecord"/>.</summary>
    ClearPartition = 7,

    /// <summary><see cref="SetTagsRecord"/>.</summary>
    SetTags = 8,

    /// <summary><see cref="ResetConsumptionRecord"/>.</summary>
    ResetConsumption = 9,

    /// <summary><see cref="LoadRecord"/>.</summary>
    Load = 10,
}

/// <summary>
/// One change of what there is. It carries everything that the change depends on, so that the same records in the same order
/// always lead to the same state. An immutable value.
/// </summary>
internal abstract class Record
{
    /// <summary>The kind.</summary>
    public abstract RecordKind Kind { get; }

    /// <summary>Checks everything and changes nothing.</summary>
    /// <returns>What <see cref="Commit"/> wants.</returns>
    internal abstract object Plan(Controller controller, StorageManager storage);

    /// <summary>Carries a plan out that was made since the last change; can't fail.</summary>
    internal abstract object Commit(Controller controller, StorageManager storage, object plan);

    /// <summary>Names of the partitions in which rows may have become ready for somebody.</summary>
    internal virtual IEnumerable<string> Wakes => [];

    /// <summary>Writes the fields, as one array.</summary>
    internal abstract void Write(ref MessagePackWriter writer);
}

/// <summary>A record whose commit answers with a <typeparamref name="TAnswer"/>.</summary>
/// <typeparam name="TAnswer">What the caller learns.</typeparam>
/// <typeparam name="TPlan">What passes from plan to commit.</typeparam>
internal abstract class Record<TAnswer, TPlan> : Record<TAnswer>
    where TAnswer : notnull
    where TPlan : notnull
{
    internal sealed override object Plan(Controller controller, StorageManager storage) => PlanChange(controller, storage);

    internal sealed override object Commit(Controller controller, StorageManager storage, object plan) =>
        CommitChange(controller, storage, (TPlan)plan);

    private protected abstract TPlan PlanChange(Controller controller, StorageManager storage);

    private protected abstract TAnswer CommitChange(Controller controller, StorageManager storage, TPlan plan);
}

/// <summary>A record whose commit answers with a <typeparamref name="TAnswer"/>.</summary>
/// <typeparam name="TAnswer">What the caller learns.</typeparam>
internal abstract class Record<TAnswer> : Record
    where TAnswer : notnull;

using TransferQueue.Control;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>
/// Controller and storage together: the one place through which anything of them changes. A change is a record; the same records
/// in the same order lead to the same state.
/// </summary>
/// <remarks>Writer thread only.</remarks>
internal sealed partial class StateMachine(Controller controller, StorageManager storage)
{
    /// <summary>What there is.</summary>
    public Controller Controller { get; } = controller;

    /// <summary>Where it lies.</summary>
    public StorageManager Storage { get; } = storage;

    /// <summary>Whether nothing may change now, since another thread looks at it.</summary>
    public bool IsFrozen { get; set; }

    /// <summary>Told of every record that was applied, in order: where a log hangs in.</summary>
    public Action<Record>? Applied { get; set; }

    /// <summary>Checks a record completely; changes nothing.</summary>
    /// <exception cref="TransferQueueException">Of the kind that fits: what <see cref="Apply{T}"/> would throw.</exception>
    public void Validate(Record record) => record.Plan(Controller, Storage);

    /// <summary>Applies a record as a whole, or throws and changes nothing.</summary>
    /// <exception cref="TransferQueueException">Of the kind that fits.</exception>
    public T Apply<T>(Record<T> record)
        where T : notnull => (T)Change(record);

    /// <summary>Applies a record of any kind, as a replay does.</summary>
    /// <exception cref="TransferQueueException">Of the kind that fits.</exception>
    public void Apply(Record record) => Change(record);

    private object Change(Record record)
    {
        if (IsFrozen)
            throw new InvalidOperationException($"core: a record of kind {record.Kind} while the state is looked at");
        object plan = record.Plan(Controller, Storage);
        object answer = record.Commit(Controller, Storage, plan);
        Applied?.Invoke(record);
        Wake(record);
        return answer;
    }
}

using TransferQueue.Columns;

namespace TransferQueue.Control;

/// <summary>What one task has consumed of a partition. Writer thread only.</summary>
internal sealed class TaskState
{
    /// <summary>A bit per slot: the row was handed to the task.</summary>
    public ReadinessBitmap Consumed { get; } = new();

    /// <summary>Rows that were handed out.</summary>
    public int ConsumedCount => Consumed.Count;

    /// <summary>Marks a stretch as handed out.</summary>
    public void Mark(SlotRun run) => Consumed.SetRange(run.Start, run.Count);

    /// <summary>Forgets a stretch.</summary>
    public void Clear(SlotRun run) => Consumed.ClearRange(run.Start, run.Count);
}

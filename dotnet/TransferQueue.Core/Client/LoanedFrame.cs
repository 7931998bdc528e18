using TransferQueue.Memory;

namespace TransferQueue.Client;

/// <summary>A frame's room on loan, in the map that all processes see. Dispose lets go of it, used up or not.</summary>
internal sealed class LoanedFrame : IDisposable
{
    private readonly LoanTable _table;

    /// <summary>Makes a frame for the table.</summary>
    internal LoanedFrame(LoanTable table, SharedMemory memory, Loan loan, ulong place, long length)
    {
        (_table, Loan, Place) = (table, loan, place);
        Bytes = memory.Locate(place, length);
        memory.Hold();
    }

    /// <summary>What it is a part of.</summary>
    public Loan Loan { get; }

    /// <summary>Where it lies, as the wire says it.</summary>
    public ulong Place { get; }

    /// <summary>Where it is here.</summary>
    public NativeSegment Bytes { get; }

    /// <summary>Whether its holder has not let go. Under the table's lock.</summary>
    internal bool IsHeld { get; set; } = true;

    /// <inheritdoc/>
    public void Dispose() => _table.LetGo(this);
}

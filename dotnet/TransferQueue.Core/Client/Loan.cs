namespace TransferQueue.Client;

/// <summary>Room in shared memory that a caller computes into, frame by frame.</summary>
/// <remarks>All of it under the lock of its <see cref="LoanTable"/>.</remarks>
internal sealed class Loan(ulong id)
{
    /// <summary>The core's number of it.</summary>
    public ulong Id { get; } = id;

    /// <summary>Frames whose holder has not let go.</summary>
    public int Held { get; set; }

    /// <summary>Frames that no put has used up.</summary>
    public int Unused { get; set; }

    /// <summary>Frames that a put is about to use up.</summary>
    public int InPut { get; set; }

    /// <summary>Whether nobody needs what is left of it.</summary>
    public bool IsOver => Held == 0 && InPut == 0 && Unused > 0;
}

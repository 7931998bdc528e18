using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>RELEASE: what a client needs no more. Numbers that mean nothing to the core are ignored.</summary>
/// <param name="Leases">Leases that end, u64[n]; default: none.</param>
/// <param name="Loans">Loans that come back unused, u64[n]; default: none.</param>
/// <param name="Replies">Ids of GETs whose answers the client will never read, u64[n]: their leases end; default: none.</param>
internal sealed record ReleaseRequest(
    ImmutableArray<ulong> Leases, ImmutableArray<ulong> Loans = default, ImmutableArray<ulong> Replies = default) : Request
{
    private static readonly HeaderKeys Keys = new("leases", "loans", "replies");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Release;

    /// <summary>Reads the header.</summary>
    internal static ReleaseRequest Read(ref HeaderReader reader)
    {
        ImmutableArray<ulong> leases = default, loans = default, replies = default;
        while (reader.Next(Keys) is { } key)
        {
            ImmutableArray<ulong> numbers = reader.Numbers<ulong>(reader.Limits.Rows);
            if (key == "leases")
                leases = numbers;
            else if (key == "loans")
                loans = numbers;
            else
                replies = numbers;
        }
        return new ReleaseRequest(leases, loans, replies);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Numbers("leases", Leases);
        writer.Numbers("loans", Loans);
        writer.Numbers("replies", Replies);
    }
}

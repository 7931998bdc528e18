using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>PIN: keeps leases until nobody has the write end of the pipe any more that comes with the answer.</summary>
/// <param name="Leases">Which, u64[n]; unknown ones are ignored.</param>
internal sealed record PinRequest(ImmutableArray<ulong> Leases) : Request
{
    private static readonly HeaderKeys Keys = new("leases");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Pin;

    /// <summary>Reads the header.</summary>
    internal static PinRequest Read(ref HeaderReader reader)
    {
        ImmutableArray<ulong> leases = default;
        while (reader.Next(Keys) is not null)
            leases = reader.Numbers<ulong>(reader.Limits.Rows);
        return new PinRequest(reader.Required(leases, "leases"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Numbers("leases", Leases);
}

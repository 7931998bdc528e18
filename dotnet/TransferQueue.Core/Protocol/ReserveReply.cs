using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to RESERVE: the client may write there until it puts, or gives the loan back.</summary>
/// <param name="Loan">The loan's number, &gt; 0.</param>
/// <param name="Places">Where each frame may be written, u64[k]: a place of docs/wire.md, section 1.1.</param>
internal sealed record ReserveReply(long Loan, ImmutableArray<ulong> Places) : Reply
{
    private static readonly HeaderKeys Keys = new("loan", "places");

    /// <summary>Reads the header.</summary>
    internal static ReserveReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to RESERVE", header, ProtocolLimits.Default);
        long? loan = null;
        ImmutableArray<ulong> places = default;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "loan")
                loan = reader.Integer(1);
            else
                places = reader.Numbers<ulong>(reader.Limits.Frames);
        }
        return new ReserveReply(reader.Required(loan, "loan"), reader.Required(places, "places"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("loan", Loan);
        writer.Numbers("places", Places);
    }
}

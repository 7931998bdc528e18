namespace TransferQueue.Protocol;

/// <summary>MEMORY: the segments of shared memory; their files come along with the reply.</summary>
/// <param name="Known">Segments that the client has already: those from this number on are wanted.</param>
internal sealed record MemoryRequest(int Known) : Request
{
    private static readonly HeaderKeys Keys = new("known");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Memory;

    /// <summary>Reads the header.</summary>
    internal static MemoryRequest Read(ref HeaderReader reader)
    {
        int? known = null;
        while (reader.Next(Keys) is not null)
            known = (int)reader.Integer(0, int.MaxValue);
        return new MemoryRequest(reader.Required(known, "known"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer) => writer.Entry("known", Known);
}

using System.Collections.Immutable;

namespace TransferQueue.Storage;

/// <summary>A client's right to read the placed frames of one reply: stored columns that it views, and results that were gathered for it.</summary>
/// <remarks>Writer thread only.</remarks>
internal sealed class ClientLease
{
    internal ClientLease(ulong id, Guid client, ulong requestId, ReadLease viewed, ImmutableArray<OwnedExtent> results) =>
        (Id, Client, RequestId, Viewed, Results) = (id, client, requestId, viewed, results);

    /// <summary>Unique in the life of the core, &gt; 0.</summary>
    public ulong Id { get; }

    /// <summary>Whose it is.</summary>
    public Guid Client { get; }

    /// <summary>The GET that it answers.</summary>
    public ulong RequestId { get; }

    /// <summary>Stored columns that it keeps.</summary>
    public ReadLease Viewed { get; }

    /// <summary>Extents that belong to it alone.</summary>
    public ImmutableArray<OwnedExtent> Results { get; }

    /// <summary>Pins that hold it.</summary>
    internal int Pins { get; set; }

    /// <summary>Its client needs it no more; only pins keep it.</summary>
    internal bool IsGivenBack { get; set; }

    /// <summary>Nothing of it is kept any more.</summary>
    internal bool IsOver { get; set; }
}

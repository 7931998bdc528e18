using System.Collections.Immutable;

namespace TransferQueue.Storage;

/// <summary>Room for the large frames of a put that a client may write to: one page-owning extent per frame.</summary>
/// <remarks>Writer thread only. An extent leaves the loan when a put takes it; a loan without extents is over.</remarks>
internal sealed class Loan
{
    internal Loan(long id, Guid client, ulong requestId, ImmutableArray<OwnedExtent> extents) =>
        (Id, Client, RequestId, Extents, Left) = (id, client, requestId, extents, extents.Length);

    /// <summary>Unique in the life of the core, &gt; 0.</summary>
    public long Id { get; }

    /// <summary>Whose it is.</summary>
    public Guid Client { get; }

    /// <summary>The RESERVE that it answers.</summary>
    public ulong RequestId { get; }

    /// <summary>What was lent, in the order asked for; some of it may have been taken since.</summary>
    public ImmutableArray<OwnedExtent> Extents { get; }

    /// <summary>Extents that are still on loan.</summary>
    internal int Left { get; set; }

    /// <summary>Extents that a put has taken which is neither done nor cut off.</summary>
    internal int Taken { get; set; }

    /// <summary>It was given back, or its client has gone: what a put leaves is not lent again.</summary>
    internal bool IsEnded { get; set; }
}

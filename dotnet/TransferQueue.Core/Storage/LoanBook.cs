using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using TransferQueue.Columns;

namespace TransferQueue.Storage;

/// <summary>Which extents are on loan to whom. Knows no memory: who ends a loan frees what comes back.</summary>
/// <remarks>Writer thread only.</remarks>
internal sealed class LoanBook
{
    private readonly Dictionary<ulong, (Loan Loan, OwnedExtent Extent)> _places = [];
    private readonly Dictionary<Guid, Dictionary<long, Loan>> _clients = [];
    private readonly Dictionary<Guid, long> _bytes = [];
    private long _last;

    /// <summary>Loans that are not over.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes that are on loan.</summary>
    public long Bytes { get; private set; }

    /// <summary>Clients that have something on loan.</summary>
    public IReadOnlyCollection<Guid> Clients => _clients.Keys;

    /// <summary>Bytes that a client has on loan.</summary>
    public long BytesOf(Guid client) => _bytes.GetValueOrDefault(client);

    /// <summary>Lends extents.</summary>
    public Loan Lend(Guid client, ulong requestId, ImmutableArray<OwnedExtent> extents)
    {
        Loan loan = new(++_last, client, requestId, extents);
        if (!_clients.TryGetValue(client, out Dictionary<long, Loan>? own))
            _clients.Add(client, own = []);
        own.Add(loan.Id, loan);
        Count++;
        foreach (OwnedExtent extent in extents)
            Add(loan, extent);
        return loan;
    }

    /// <summary>Takes the extents that a put's placed frames name out of their loans: all, or none.</summary>
    /// <param name="client">Whose put.</param>
    /// <param name="places">A place per frame; <see cref="FramePlace.Inline"/> for those in the message.</param>
    /// <param name="lengths">Bytes of each frame.</param>
    /// <param name="taken">Per frame its extent and loan; null for those in the message.</param>
    /// <param name="wrong">The first frame that is no whole extent on loan to this client, or comes twice; −1: all are.</param>
    public bool TryTake(
        Guid client, ReadOnlySpan<ulong> places, ReadOnlySpan<long> lengths, [NotNullWhen(true)] out TakenExtent?[]? taken, out int wrong)
    {
        taken = new TakenExtent?[places.Length];
        for (wrong = 0; wrong < places.Length; wrong++)
        {
            if (places[wrong] == FramePlace.Inline)
                continue;
            bool fits = _places.TryGetValue(places[wrong], out var there) && there.Loan.Client == client && there.Extent.Extent.Length == lengths[wrong];
            if (!fits)
                break;
            Remove(there.Loan, there.Extent);
            there.Loan.Taken++;
            taken[wrong] = new TakenExtent(there.Loan, there.Extent);
        }
        if (wrong == places.Length)
        {
            wrong = -1;
            return true;
        }
        PutBack(taken); // none of their loans can have ended in between
        taken = null;
        return false;
    }

    /// <summary>A put that had taken extents was cut off before it came to an end: they are on loan again.</summary>
    /// <returns>Those whose loan has ended meanwhile: they are the caller's to free.</returns>
    public ImmutableArray<OwnedExtent> PutBack(ReadOnlySpan<TakenExtent?> taken)
    {
        var back = ImmutableArray.CreateBuilder<OwnedExtent>();
        foreach (TakenExtent? extent in taken)
        {
            if (extent is not { } it)
                continue;
            it.Loan.Taken--;
            if (!it.Loan.IsEnded)
            {
                it.Loan.Left++;
                Add(it.Loan, it.Extent);
                continue;
            }
            back.Add(it.Extent);
            DropIfOver(it.Loan);
        }
        return back.ToImmutable();
    }

    /// <summary>A put that had taken extents is done: they belong to its columns, or were freed.</summary>
    public void Forget(ReadOnlySpan<TakenExtent?> taken)
    {
        foreach (TakenExtent? extent in taken)
        {
            if (extent is not { } it)
                continue;
            it.Loan.Taken--;
            DropIfOver(it.Loan);
        }
    }

    /// <summary>Ends a loan of a client; an unknown one is ignored.</summary>
    /// <returns>What comes back.</returns>
    public ImmutableArray<OwnedExtent> End(Guid client, long id) =>
        _clients.TryGetValue(client, out var own) && own.TryGetValue(id, out Loan? loan) ? End(loan) : [];

    /// <summary>Ends the loan that answers a request, whose answer nobody reads.</summary>
    /// <returns>What comes back.</returns>
    public ImmutableArray<OwnedExtent> EndReply(Guid client, ulong requestId) =>
        _clients.TryGetValue(client, out var own) && own.Values.FirstOrDefault(loan => loan.RequestId == requestId) is { } found ? End(found) : [];

    /// <summary>Ends all loans of a client.</summary>
    /// <returns>What comes back.</returns>
    public ImmutableArray<OwnedExtent> EndAll(Guid client) =>
        _clients.TryGetValue(client, out var own) ? [.. own.Values.ToArray().SelectMany(loan => End(loan))] : [];

    private ImmutableArray<OwnedExtent> End(Loan loan)
    {
        loan.IsEnded = true;
        var back = ImmutableArray.CreateBuilder<OwnedExtent>();
        foreach (OwnedExtent extent in loan.Extents)
        {
            if (!_places.TryGetValue(PlaceOf(extent), out var there) || !ReferenceEquals(there.Loan, loan))
                continue;
            Remove(loan, extent);
            back.Add(extent);
        }
        DropIfOver(loan);
        return back.ToImmutable();
    }

    private static ulong PlaceOf(in OwnedExtent extent) => FramePlace.Of(extent.Extent.Segment, extent.Extent.Offset);

    private void Add(Loan loan, OwnedExtent extent)
    {
        _places.Add(PlaceOf(extent), (loan, extent));
        CountBytes(loan.Client, extent.Extent.Length);
    }

    private void Remove(Loan loan, OwnedExtent extent)
    {
        loan.Left--;
        _places.Remove(PlaceOf(extent));
        CountBytes(loan.Client, -extent.Extent.Length);
    }

    private void DropIfOver(Loan loan)
    {
        if (loan.Left > 0 || loan.Taken > 0 || !_clients.TryGetValue(loan.Client, out Dictionary<long, Loan>? own) || !own.Remove(loan.Id))
            return;
        Count--;
        if (own.Count == 0)
            _clients.Remove(loan.Client);
    }

    private void CountBytes(Guid client, long bytes)
    {
        Bytes += bytes;
        long now = _bytes.GetValueOrDefault(client) + bytes;
        if (now == 0)
            _bytes.Remove(client);
        else
            _bytes[client] = now;
    }
}

/// <summary>An extent that a put has taken out of a loan; <see cref="LoanBook.Forget"/> or <see cref="LoanBook.PutBack"/> ends that.</summary>
/// <param name="Loan">Out of which.</param>
/// <param name="Extent">The extent.</param>
internal readonly record struct TakenExtent(Loan Loan, OwnedExtent Extent);

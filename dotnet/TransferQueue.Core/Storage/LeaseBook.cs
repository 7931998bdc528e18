using System.Collections.Immutable;

namespace TransferQueue.Storage;

/// <summary>The leases of all clients: what placed frames they may still read.</summary>
/// <remarks>Writer thread only.</remarks>
/// <param name="end">Called with a lease that nobody needs any more, once: gives its memory back.</param>
internal sealed class LeaseBook(Action<ClientLease> end)
{
    /// <summary>Replies that a client has given up before there was a lease; older ones are forgotten.</summary>
    private const int MostAbandoned = 1024;

    private readonly Dictionary<Guid, ClientLeases> _clients = [];
    private ulong _last;

    /// <summary>What is known of one client.</summary>
    private sealed class ClientLeases
    {
        public Dictionary<ulong, ClientLease> ById { get; } = [];

        public Dictionary<ulong, ClientLease> ByReply { get; } = [];

        public HashSet<ulong> Abandoned { get; } = [];

        public Queue<ulong> AbandonedOrder { get; } = new();
    }

    /// <summary>Leases that last.</summary>
    public int Count { get; private set; }

    /// <summary>Of them, those that a pin holds.</summary>
    public int PinnedCount { get; private set; }

    /// <summary>Clients with a lease.</summary>
    public IEnumerable<Guid> Clients => _clients.Where(client => client.Value.ById.Count > 0).Select(client => client.Key);

    /// <summary>The leases of a client.</summary>
    public IEnumerable<ClientLease> Of(Guid client) => _clients.TryGetValue(client, out ClientLeases? own) ? own.ById.Values : [];

    /// <summary>Makes a lease; an earlier one of the same request ends.</summary>
    public ClientLease Begin(Guid client, ulong requestId, ReadLease viewed, ImmutableArray<OwnedExtent> results)
    {
        if (!_clients.TryGetValue(client, out ClientLeases? own))
            _clients.Add(client, own = new());
        if (own.ByReply.TryGetValue(requestId, out ClientLease? older))
            GiveBack(older);
        ClientLease lease = new(++_last, client, requestId, viewed, results);
        own.ById.Add(lease.Id, lease);
        own.ByReply[requestId] = lease; // an older one that is pinned lasts, but is no answer any more
        Count++;
        return lease;
    }

    /// <summary>A client needs a lease no more; one that it has not, or not any more, is ignored.</summary>
    public void GiveBack(Guid client, ulong id)
    {
        if (_clients.TryGetValue(client, out ClientLeases? own) && own.ById.TryGetValue(id, out ClientLease? lease))
            GiveBack(lease);
    }

    /// <summary>A client will never read the answer to a request: its lease ends, or is not made.</summary>
    public void AbandonReply(Guid client, ulong requestId)
    {
        if (!_clients.TryGetValue(client, out ClientLeases? own))
            _clients.Add(client, own = new());
        if (own.ByReply.TryGetValue(requestId, out ClientLease? lease))
        {
            GiveBack(lease);
            return;
        }
        if (!own.Abandoned.Add(requestId))
            return;
        own.AbandonedOrder.Enqueue(requestId);
        if (own.AbandonedOrder.Count > MostAbandoned)
            own.Abandoned.Remove(own.AbandonedOrder.Dequeue());
    }

    /// <summary>Whether a client has given up the answer to a request before it was there.</summary>
    public bool IsAbandoned(Guid client, ulong requestId) => _clients.TryGetValue(client, out ClientLeases? own) && own.Abandoned.Contains(requestId);

    /// <summary>Ends a lease, unless a pin holds it: then with the last pin.</summary>
    public void GiveBack(ClientLease lease)
    {
        lease.IsGivenBack = true;
        EndIfUnused(lease);
    }

    /// <summary>A client has gone: its leases end but for pinned ones.</summary>
    public void GiveBackAll(Guid client)
    {
        foreach (ClientLease lease in Of(client).ToArray())
            GiveBack(lease);
        if (_clients.TryGetValue(client, out ClientLeases? own) && own.ById.Count == 0)
            _clients.Remove(client);
    }

    /// <summary>Holds leases of a client until <see cref="Unpin"/>; unknown ones are ignored.</summary>
    public ImmutableArray<ClientLease> Pin(Guid client, ReadOnlySpan<ulong> ids)
    {
        var pinned = ImmutableArray.CreateBuilder<ClientLease>();
        if (!_clients.TryGetValue(client, out ClientLeases? own))
            return [];
        foreach (ulong id in ids)
        {
            if (!own.ById.TryGetValue(id, out ClientLease? lease))
                continue;
            if (lease.Pins++ == 0)
                PinnedCount++;
            pinned.Add(lease);
        }
        return pinned.ToImmutable();
    }

    /// <summary>Lets leases go that were pinned.</summary>
    public void Unpin(ImmutableArray<ClientLease> pinned)
    {
        foreach (ClientLease lease in pinned)
        {
            if (--lease.Pins == 0)
                PinnedCount--;
            EndIfUnused(lease);
        }
    }

    private void EndIfUnused(ClientLease lease)
    {
        if (!lease.IsGivenBack || lease.Pins > 0 || lease.IsOver)
            return;
        lease.IsOver = true;
        Count--;
        ClientLeases own = _clients[lease.Client];
        own.ById.Remove(lease.Id);
        if (own.ByReply.TryGetValue(lease.RequestId, out ClientLease? newest) && ReferenceEquals(newest, lease))
            own.ByReply.Remove(lease.RequestId);
        if (own.ById.Count == 0 && own.Abandoned.Count == 0)
            _clients.Remove(lease.Client);
        end(lease);
    }
}

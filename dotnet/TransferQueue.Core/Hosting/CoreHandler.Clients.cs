using TransferQueue.Transport;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    private readonly Dictionary<Guid, SharedClient> _sharers = [];

    /// <summary>Lets a client that says HELLO use the shared memory. A gateway reads there for one on another host; what it reads then ends with this connection.</summary>
    private void Share(ServerConnection connection, ClientSession session)
    {
        if (!_sharers.TryGetValue(session.Holder, out SharedClient? sharer))
        {
            _sharers.Add(session.Holder, sharer = new SharedClient(session.Holder, connection.PeerProcessId));
            if (!session.IsRelayed)
                Watch(sharer, connection);
        }
        sharer.Connections++;
    }

    private void Watch(SharedClient sharer, ServerConnection connection)
    {
        try
        {
            sharer.Watch = ProcessWatch.Start(Loop, connection, () => ProcessEnded(sharer));
        }
        catch (TransferQueueException error)
        {
            CoreLog.Note($"{error.Message}; what it has of the shared memory comes back when its last connection ends");
        }
    }

    /// <summary>A connection has ended. As long as the process lives it may still write to its loans, and read under its leases: both stay.</summary>
    private void Unshare(Guid client)
    {
        SharedClient sharer = _sharers[client];
        if (--sharer.Connections > 0)
            return;
        if (sharer.Watch is null && !sharer.HasEnded)
            ProcessEnded(sharer);
        else if (sharer.HasEnded || (_storage.Loans.BytesOf(client) == 0 && !_storage.Leases.Of(client).Any()))
            Forget(sharer);
    }

    /// <summary>Nobody writes to a process' loans any more, or reads under its leases, but for children that have pinned them.</summary>
    private void ProcessEnded(SharedClient sharer)
    {
        sharer.HasEnded = true;
        _storage.Free(_storage.Loans.EndAll(sharer.Id));
        _storage.Leases.GiveBackAll(sharer.Id);
        if (sharer.Connections == 0)
            Forget(sharer);
    }

    private void Forget(SharedClient sharer)
    {
        sharer.Watch?.Dispose();
        sharer.Watch = null;
        _sharers.Remove(sharer.Id);
    }

    /// <summary>Whether a client may be given loans and leases, or a gateway's connection leases.</summary>
    private bool IsSharing(Guid holder) => _sharers.TryGetValue(holder, out SharedClient? sharer) && !sharer.HasEnded;

    /// <summary>Bytes on loan to processes that live without a connection: they may still be written to.</summary>
    private long QuarantinedBytes => _storage.Loans.Clients.Where(IsQuarantined).Sum(_storage.Loans.BytesOf);

    private bool IsQuarantined(Guid client) => !_sharers.TryGetValue(client, out SharedClient? sharer) || sharer.Connections == 0;

    /// <summary>Who has how much of the memory, for people: stored, on loan, quarantined, kept by leases.</summary>
    private string Holders()
    {
        long loaned = _storage.Loans.Bytes;
        Guid[] readers = [.. _storage.Leases.Clients];
        long kept = readers.Sum(_storage.BytesKeptFor);
        string loans = Named(_storage.Loans.Clients.Where(client => !IsQuarantined(client)), _storage.Loans.BytesOf);
        string quarantined = Named(_storage.Loans.Clients.Where(IsQuarantined), _storage.Loans.BytesOf);
        long files = _storage.Files?.UsedBytes ?? 0;
        string offloaded = _storage.Files is null ? "" : $" in memory and {files} bytes in files";
        return $"{_storage.UsedBytes} of {_storage.CapacityBytes} bytes are in use{offloaded}: stored {_storage.UsedBytes + files - loaned - kept - _storage.HeldBytes}, on loan to puts {loaned - QuarantinedBytes}{loans}, "
            + $"quarantined {QuarantinedBytes}{quarantined}, cleared or gathered and still read {kept}{Named(readers, _storage.BytesKeptFor)}"
            + (_storage.HeldBytes > 0 ? $", cleared and kept until a checkpoint is written {_storage.HeldBytes}" : "");
    }

    private string Named(IEnumerable<Guid> clients, Func<Guid, long> bytesOf)
    {
        string[] named =
        [
            .. clients.Select(client => (Process: _sharers.TryGetValue(client, out SharedClient? sharer) ? sharer.ProcessId : 0, Bytes: bytesOf(client)))
                .Where(holder => holder.Bytes > 0).OrderByDescending(holder => holder.Bytes).Take(8)
                .Select(holder => holder.Process > 0 ? $"process {holder.Process}: {holder.Bytes}" : $"children of a process that ended: {holder.Bytes}"),
        ];
        return named.Length == 0 ? "" : $" ({string.Join(", ", named)})";
    }
}

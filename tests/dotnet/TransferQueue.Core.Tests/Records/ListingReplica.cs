using TransferQueue.Columns;
using TransferQueue.Control;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>A client that lists now and then, and asks only for what changed since it listed last.</summary>
internal sealed class ListingReplica(TestQueue queue)
{
    private readonly Dictionary<string, (long Version, List<(string Key, string Tag)> Rows)> _partitions = [];

    /// <summary>Listings that had only the changes.</summary>
    public int Deltas { get; private set; }

    /// <summary>Lists everything.</summary>
    public void CatchUp()
    {
        Dictionary<string, long> since = _partitions.ToDictionary(pair => pair.Key, pair => pair.Value.Version);
        PartitionListing[] listings = queue.Controller.List(null, since);
        foreach (string gone in _partitions.Keys.Except(listings.Select(listing => listing.Partition)))
            _partitions.Remove(gone);
        foreach (PartitionListing listing in listings)
            _partitions[listing.Partition] = (listing.Version, Apply(listing));
    }

    /// <summary>Compares what the replica has with a listing of all.</summary>
    public void AssertAgrees()
    {
        PartitionListing[] full = queue.Controller.List(null);
        Assert.Equal(full.Select(listing => listing.Partition).Order(), _partitions.Keys.Order());
        foreach (PartitionListing listing in full)
        {
            Assert.Null(listing.Removed);
            Assert.Equal(listing.Version, _partitions[listing.Partition].Version);
            Assert.Equal(Rows(listing), _partitions[listing.Partition].Rows);
        }
    }

    /// <summary>The keys and tags of a listing.</summary>
    public static List<(string Key, string Tag)> Rows(PartitionListing listing)
    {
        PackedTags tags = PackedTags.Parse(listing.Tags, listing.Keys.Count);
        return [.. listing.Keys.Unpack().Select((key, row) => (key, TestQueue.Json(tags[row])))];
    }

    private List<(string Key, string Tag)> Apply(PartitionListing listing)
    {
        if (listing.Removed is not { } removed)
            return Rows(listing);
        Deltas++;
        HashSet<string> gone = [.. removed.Unpack()];
        List<(string Key, string Tag)> rows = [.. _partitions[listing.Partition].Rows.Where(row => !gone.Contains(row.Key))];
        foreach (var row in Rows(listing))
        {
            int known = rows.FindIndex(old => old.Key == row.Key);
            if (known < 0)
                rows.Add(row);
            else
                rows[known] = row;
        }
        return rows;
    }
}

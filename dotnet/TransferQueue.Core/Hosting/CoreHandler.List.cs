using TransferQueue.Control;
using TransferQueue.Protocol;

namespace TransferQueue.Hosting;

internal sealed partial class CoreHandler
{
    /// <summary>
    /// Added to the controller's versions on their way out: a client that has versions of another core, which is gone, must not
    /// hit one of this core's. Random, so that both ranges are far apart.
    /// </summary>
    private readonly long _firstVersion = Random.Shared.NextInt64(1L << 62);

    private ListReply List(ListRequest request)
    {
        Dictionary<string, long>? since = request.Since?.ToDictionary(entry => entry.Key, entry => unchecked(entry.Value - _firstVersion));
        return new ListReply([.. _controller.List(request.Partition, since).Select(Listed)]);
    }

    private ListedPartition Listed(PartitionListing listing) =>
        new(listing.Partition, listing.Version + _firstVersion, listing.Keys, listing.Tags, listing.Removed);
}

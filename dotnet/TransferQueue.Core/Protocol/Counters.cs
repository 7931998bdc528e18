using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>Maps with free names and integers.</summary>
internal static class Counters
{
    /// <summary>Reads such a map, sorted by name.</summary>
    /// <exception cref="ProtocolException">A name comes twice, or a value is no integer.</exception>
    internal static ImmutableSortedDictionary<string, long> Read(HeaderReader map)
    {
        var counters = ImmutableSortedDictionary.CreateBuilder<string, long>(StringComparer.Ordinal);
        while (map.NextFree() is { } name)
        {
            if (!counters.TryAdd(name, map.Integer()))
                throw map.Broken("appears twice");
        }
        return counters.ToImmutable();
    }
}

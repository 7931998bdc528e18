using System.Text;

namespace TransferQueue.Protocol;

/// <summary>The closed set of keys that a header, or a map in it, may have: at most 64.</summary>
internal sealed class HeaderKeys(params string[] names)
{
    private readonly byte[][] _utf8 = [.. names.Select(Encoding.UTF8.GetBytes)];

    /// <summary>For error texts.</summary>
    public override string ToString() => names.Length == 0 ? "none" : string.Join(", ", names);

    /// <summary>The name of the key at <paramref name="position"/>.</summary>
    internal string this[int position] => names[position];

    /// <summary>Where <paramref name="key"/> stands in the set, or −1.</summary>
    internal int Find(ReadOnlySpan<byte> key)
    {
        for (int i = 0; i < _utf8.Length; i++)
        {
            if (key.SequenceEqual(_utf8[i]))
                return i;
        }
        return -1;
    }
}

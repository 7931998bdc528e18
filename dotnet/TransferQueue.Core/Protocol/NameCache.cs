using System.Text;

namespace TransferQueue.Protocol;

/// <summary>Strings of names that came before: partitions, fields and tasks come again with each request.</summary>
/// <remarks>One per thread.</remarks>
internal static class NameCache
{
    /// <summary>Names that are kept; then it begins anew.</summary>
    internal const int MostNames = 1024;

    /// <summary>Longer names are not kept.</summary>
    private const int MostBytes = 128;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    [ThreadStatic]
    private static HashSet<string>? _names;

    /// <summary>The name that is written in UTF-8.</summary>
    /// <exception cref="DecoderFallbackException">It is no UTF-8.</exception>
    internal static string Get(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length > MostBytes)
            return StrictUtf8.GetString(utf8);
        Span<char> characters = stackalloc char[MostBytes];
        ReadOnlySpan<char> name = characters[..StrictUtf8.GetChars(utf8, characters)];
        var names = _names ??= [];
        if (names.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name, out string? known))
            return known;
        if (names.Count == MostNames)
            names.Clear();
        known = name.ToString();
        names.Add(known);
        return known;
    }
}

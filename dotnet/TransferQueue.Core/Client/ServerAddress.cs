using System.Globalization;

namespace TransferQueue.Client;

/// <summary>Where a core listens: <c>unix:///path</c> or <c>tcp://host:port</c>. An immutable value.</summary>
/// <param name="Path">Path of the Unix socket, or null.</param>
/// <param name="Host">Host name or address, or null.</param>
/// <param name="Port">1–65535 with a host, else 0.</param>
internal sealed record ServerAddress(string? Path, string? Host, int Port)
{
    /// <summary>Bytes that the kernel has for the path of a Unix socket, without the NUL (unix(7)).</summary>
    private const int MostPathBytes = 107;

    private const string UnixScheme = "unix://";
    private const string TcpScheme = "tcp://";

    /// <summary>Whether it is a Unix socket.</summary>
    public bool IsUnix => Path is not null;

    /// <summary>Reads an address.</summary>
    /// <exception cref="InvalidArgumentException">It is none.</exception>
    public static ServerAddress Parse(string text)
    {
        if (text.StartsWith(UnixScheme, StringComparison.Ordinal))
            return ParseUnix(text);
        if (text.StartsWith(TcpScheme, StringComparison.Ordinal))
            return ParseTcp(text);
        throw new InvalidArgumentException($"address '{text}': it has no known scheme; give unix:///path or tcp://host:port");
    }

    /// <inheritdoc/>
    public override string ToString() => IsUnix ? UnixScheme + Path
        : string.Create(CultureInfo.InvariantCulture, $"{TcpScheme}{(Host!.Contains(':') ? $"[{Host}]" : Host)}:{Port}");

    private static ServerAddress ParseUnix(string text)
    {
        string path = text[UnixScheme.Length..];
        int bytes = System.Text.Encoding.UTF8.GetByteCount(path);
        if (!path.StartsWith('/') || path.Contains('\0'))
            throw new InvalidArgumentException($"address '{text}': the path must be absolute; give unix:///path");
        if (bytes > MostPathBytes)
            throw new InvalidArgumentException($"address '{text}': the path has {bytes} bytes, a Unix socket takes {MostPathBytes}; choose a shorter folder");
        return new ServerAddress(path, null, 0);
    }

    private static ServerAddress ParseTcp(string text)
    {
        string rest = text[TcpScheme.Length..];
        int colon = rest.LastIndexOf(':');
        string host = colon > 0 ? rest[..colon].Trim('[', ']') : "";
        if (host.Length == 0 || !int.TryParse(rest[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port is < 1 or > 65535)
            throw new InvalidArgumentException($"address '{text}': host and port are missing or wrong; give tcp://host:port");
        return new ServerAddress(null, host, port);
    }
}

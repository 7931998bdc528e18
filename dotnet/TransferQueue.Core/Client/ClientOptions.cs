using System.Reflection;
using MessagePack;

namespace TransferQueue.Client;

/// <summary>How to reach a core. Immutable.</summary>
internal sealed record ClientOptions
{
    /// <summary>Bytes of a job's token.</summary>
    public const int TokenBytes = 32;

    /// <summary>Where it listens.</summary>
    public required ServerAddress Address { get; init; }

    /// <summary>The job's secret, which a TCP address asks for; null: none.</summary>
    public byte[]? Token { get; init; }

    /// <summary>How long connecting and the core's first answer may take. Default 10 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether to use shared memory where the core offers it. Default true.</summary>
    public bool SharedMemory { get; init; } = true;

    /// <summary>The caller's release, told to the core. Default: this assembly's.</summary>
    public string Package { get; init; } = typeof(ClientOptions).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";

    /// <summary>Reads options from a MessagePack map: address, token?, connect_timeout_ms?, package?, shared_memory?.</summary>
    /// <exception cref="InvalidArgumentException">It is no such map.</exception>
    public static ClientOptions Read(ReadOnlySpan<byte> packed)
    {
        try
        {
            return ReadMap(packed.ToArray());
        }
        catch (Exception wrong) when (wrong is MessagePackSerializationException or EndOfStreamException or OverflowException)
        {
            throw new InvalidArgumentException($"client options: not the MessagePack map that they should be ({wrong.Message})");
        }
    }

    private static ClientOptions ReadMap(byte[] packed)
    {
        var reader = new MessagePackReader(packed);
        string? address = null;
        var options = new ClientOptions { Address = new ServerAddress("/", null, 0) };
        for (int left = reader.ReadMapHeader(); left > 0; left--)
        {
            string key = reader.ReadString() ?? "";
            if (reader.TryReadNil())
                continue;
            switch (key)
            {
                case "address": address = reader.ReadString(); break;
                case "token": options = options with { Token = System.Buffers.BuffersExtensions.ToArray(reader.ReadBytes() ?? default) }; break;
                case "connect_timeout_ms": options = options with { ConnectTimeout = TimeSpan.FromMilliseconds(reader.ReadUInt32()) }; break;
                case "package": options = options with { Package = reader.ReadString() ?? "" }; break;
                case "shared_memory": options = options with { SharedMemory = reader.ReadBoolean() }; break;
                default: throw new InvalidArgumentException($"client options: no option '{key}'; there are address, token, connect_timeout_ms, package, shared_memory");
            }
        }
        if (address is null)
            throw new InvalidArgumentException("client options: no address; give unix:///path or tcp://host:port");
        if (options.Token is { Length: not TokenBytes and var length })
            throw new InvalidArgumentException($"client options: the token has {length} bytes, a job's token has {TokenBytes}");
        return options with { Address = ServerAddress.Parse(address) };
    }
}

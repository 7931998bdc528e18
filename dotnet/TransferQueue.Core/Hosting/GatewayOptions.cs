using System.Collections.Immutable;
using MessagePack;

namespace TransferQueue.Hosting;

/// <summary>How a gateway serves. Immutable; read from the map that Python gives to <c>serve_gateway</c>.</summary>
internal sealed record GatewayOptions
{
    /// <summary>Where other hosts connect, <c>tcp://host:port</c>; port 0 takes a free one.</summary>
    public required string Listen { get; init; }

    /// <summary>Path of the core's Unix socket.</summary>
    public required string CorePath { get; init; }

    /// <summary>The job's token; whoever can't prove that it has it is refused.</summary>
    public required ImmutableArray<byte> Token { get; init; }

    /// <summary>Reads the map.</summary>
    /// <exception cref="InvalidArgumentException">An unknown option, a wrong type, one that is missing.</exception>
    public static GatewayOptions Read(ReadOnlyMemory<byte> bytes)
    {
        string? listen = null, core = null;
        ImmutableArray<byte> token = [];
        OptionsReader.Read("serve_gateway", bytes, (string key, ref MessagePackReader reader) =>
        {
            switch (key)
            {
                case "listen":
                    listen = reader.ReadString();
                    break;
                case "core":
                    core = reader.ReadString();
                    break;
                case "token":
                    token = OptionsReader.Bytes(ref reader);
                    break;
                default:
                    throw OptionsReader.Unknown("serve_gateway", key);
            }
        });
        if (listen is null || core is null || !core.StartsWith("unix://", StringComparison.Ordinal))
            throw new InvalidArgumentException($"serve_gateway: listen '{listen}', core '{core}'; give tcp://host:port and unix:///path");
        if (token.Length < 16)
            throw new InvalidArgumentException($"serve_gateway: a token of {token.Length} bytes; a TCP address always needs the job's token of at least 16");
        return new GatewayOptions { Listen = listen, CorePath = core["unix://".Length..], Token = token };
    }
}

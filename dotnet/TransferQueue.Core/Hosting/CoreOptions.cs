using System.Collections.Immutable;
using MessagePack;

namespace TransferQueue.Hosting;

/// <summary>How a core serves. Immutable; read from the map that Python gives to <c>serve_core</c>.</summary>
internal sealed record CoreOptions
{
    /// <summary>The listening Unix socket, inherited from the keeper.</summary>
    public required int ListenFd { get; init; }

    /// <summary>A socket to the keeper, which holds duplicates of the memory; −1: none.</summary>
    public int KeeperFd { get; init; } = -1;

    /// <summary>The job's name, for messages.</summary>
    public string Job { get; init; } = "";

    /// <summary>Bytes that columns may take; null: half of what is free.</summary>
    public long? CapacityBytes { get; init; }

    /// <summary>A folder for files with large columns; empty, the default: all columns lie in memory.</summary>
    public string OffloadPath { get; init; } = "";

    /// <summary>Bytes from which a column goes there. Default 1 MiB.</summary>
    public long OffloadBytes { get; init; } = 1 << 20;

    /// <summary>Rows with columns that may be stored; null: no limit.</summary>
    public long? TotalRows { get; init; }

    /// <summary>Storage units, ≥ 1. Default 1.</summary>
    public int Units { get; init; } = 1;

    /// <summary>Whether a fetch that finds too few rows returns an empty batch at once. Default false: it waits.</summary>
    public bool PollingMode { get; init; }

    /// <summary>The sampler's name. Default SequentialSampler.</summary>
    public string Sampler { get; init; } = "SequentialSampler";

    /// <summary>What the sampler's constructor gets, by name. Default: nothing.</summary>
    public ImmutableDictionary<string, int> SamplerArguments { get; init; } = ImmutableDictionary<string, int>.Empty;

    /// <summary>Whether the sampler is a user's own and runs in the sampler's process. Default false.</summary>
    public bool IsSamplerHosted { get; init; }

    /// <summary>What the sampler's process must know to be let in; empty: none is.</summary>
    public ImmutableArray<byte> SamplerToken { get; init; } = [];

    /// <summary>How long a user's sampler may take for one batch. Default 10 s.</summary>
    public TimeSpan SamplerTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The file with the last words of the sampler's process; empty: none.</summary>
    public string SamplerTrace { get; init; } = "";

    /// <summary>Rows that a new partition has from the start. Default 0.</summary>
    public int PreAllocate { get; init; }

    /// <summary>Whether shared memory is offered to clients of this host. Default true.</summary>
    public bool SharedMemory { get; init; } = true;

    /// <summary>Seconds that a request waits which does not say. Default 30.</summary>
    public TimeSpan DefaultTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Reads the map.</summary>
    /// <exception cref="InvalidArgumentException">An unknown option, a wrong type, a value out of range.</exception>
    public static CoreOptions Read(ReadOnlyMemory<byte> bytes)
    {
        var options = new CoreOptions { ListenFd = -1 };
        OptionsReader.Read("serve_core", bytes, (string key, ref MessagePackReader reader) => options = options.With(key, ref reader));
        return options.Checked();
    }

    private CoreOptions With(string key, ref MessagePackReader reader)
    {
        switch (key)
        {
            case "listen_fd": return this with { ListenFd = reader.ReadInt32() };
            case "keeper_fd": return this with { KeeperFd = reader.ReadInt32() };
            case "job": return this with { Job = reader.ReadString() ?? "" };
            case "capacity_bytes": return this with { CapacityBytes = reader.ReadInt64() };
            case "offload_path": return this with { OffloadPath = reader.ReadString() ?? "" };
            case "offload_bytes": return this with { OffloadBytes = reader.ReadInt64() };
            case "total_rows": return this with { TotalRows = reader.ReadInt64() };
            case "units": return this with { Units = reader.ReadInt32() };
            case "polling_mode": return this with { PollingMode = reader.ReadBoolean() };
            case "sampler": return this with { Sampler = reader.ReadString() ?? "" };
            case "sampler_arguments": return this with { SamplerArguments = ReadArguments(ref reader) };
            case "shared_memory": return this with { SharedMemory = reader.ReadBoolean() };
            case "sampler_hosted": return this with { IsSamplerHosted = reader.ReadBoolean() };
            case "sampler_token": return this with { SamplerToken = OptionsReader.Bytes(ref reader) };
            case "sampler_timeout_s": return this with { SamplerTimeout = TimeSpan.FromSeconds(reader.ReadDouble()) };
            case "sampler_trace": return this with { SamplerTrace = reader.ReadString() ?? "" };
            case "pre_allocate": return this with { PreAllocate = reader.ReadInt32() };
            default: throw OptionsReader.Unknown("serve_core", key);
        }
    }

    private static ImmutableDictionary<string, int> ReadArguments(ref MessagePackReader reader)
    {
        var arguments = ImmutableDictionary.CreateBuilder<string, int>(StringComparer.Ordinal);
        for (int left = reader.ReadMapHeader(); left > 0; left--)
        {
            string name = reader.ReadString() ?? "";
            if (reader.NextMessagePackType != MessagePackType.Integer)
                throw new InvalidArgumentException($"serve_core: the sampler's argument {name} is of type {reader.NextMessagePackType}; give an int");
            arguments[name] = reader.ReadInt32();
        }
        return arguments.ToImmutable();
    }

    private CoreOptions Checked()
    {
        if (ListenFd < 0)
            throw new InvalidArgumentException("serve_core: no listen_fd given; the keeper must hand over its listening socket");
        if (Units < 1)
            throw new InvalidArgumentException($"serve_core: units is {Units}; it must be 1 or more");
        if (CapacityBytes is <= 0)
            throw new InvalidArgumentException($"serve_core: capacity_bytes is {CapacityBytes}; it must be 1 or more");
        if (SamplerTimeout <= TimeSpan.Zero)
            throw new InvalidArgumentException($"serve_core: sampler_timeout_s is {SamplerTimeout.TotalSeconds}; it must be more than 0");
        if (OffloadBytes < 1)
            throw new InvalidArgumentException($"serve_core: offload_bytes is {OffloadBytes}; it must be 1 or more");
        if (TotalRows is <= 0)
            throw new InvalidArgumentException($"serve_core: total_rows is {TotalRows}; it must be 1 or more");
        return this;
    }
}

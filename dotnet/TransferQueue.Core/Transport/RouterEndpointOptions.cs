namespace TransferQueue.Transport;

/// <summary>How a <see cref="RouterEndpoint"/> listens. Immutable.</summary>
internal sealed record RouterEndpointOptions
{
    /// <summary>Where: <c>tcp://host:port</c>; port 0 takes a free one, <c>*</c> as host listens everywhere. Required.</summary>
    public required string Address { get; init; }

    /// <summary>Limits of messages.</summary>
    public TransportLimits Limits { get; init; } = TransportLimits.Default;

    /// <summary>Clients at once; messages of further ones are thrown away. Default 1024.</summary>
    public int MostPeers { get; init; } = 1024;

    /// <summary>Bytes of messages that the handler has not disposed of; over it nothing is received. Default 512 MiB.</summary>
    public long MostHeldBytes { get; init; } = 512L << 20;

    /// <summary>Bytes that may wait for a peer when a further message is sent to it; over it the peer is given up. Default 1 GiB.</summary>
    public long MostPendingBytes { get; init; } = 1L << 30;
}

namespace TransferQueue.Transport;

/// <summary>A client on another host, as a <see cref="RouterEndpoint"/> knows it. Members on the endpoint's thread only.</summary>
internal sealed class RouterPeer(byte[] identity)
{
    /// <summary>What NetMQ calls its connection; a reconnected client is another peer.</summary>
    public byte[] Identity => identity;

    /// <summary>Whatever the handler keeps for this peer.</summary>
    public object? State { get; set; }

    /// <summary>Bytes that wait because NetMQ has no room for them.</summary>
    public long PendingBytes { get; internal set; }

    /// <summary>Nothing of it is listened to any more; replies still go out.</summary>
    public bool IsIgnored { get; set; }

    /// <summary>It is disconnected, or was given up.</summary>
    public bool IsGone { get; internal set; }

    internal Queue<MultipartMessage> Outgoing { get; } = new();
}

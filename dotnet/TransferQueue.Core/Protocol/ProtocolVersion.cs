namespace TransferQueue.Protocol;

/// <summary>The version of the wire that this core speaks; a prelude carries its sender's.</summary>
internal static class ProtocolVersion
{
    /// <summary>docs/wire.md, section 1.</summary>
    internal const ushort Current = 1;

    /// <summary>Refuses messages of another version.</summary>
    /// <exception cref="ProtocolVersionException">Names both.</exception>
    internal static void Check(ushort version)
    {
        if (version != Current)
            throw new ProtocolVersionException(
                $"a message of protocol version {version}; this side speaks version {Current}; install the same package on both sides");
    }

    /// <summary>The error for a type that no message has.</summary>
    internal static ProtocolVersionException UnknownType(ushort version, ushort type) => new(
        $"a message of type {type} in protocol version {version}; this side speaks version {Current}, which has no such type");
}

namespace TransferQueue.Protocol;

/// <summary>
/// A request's header, read or to be written. Immutable; memory in it is a part of the header it was read from, so that
/// must not change while the request lives.
/// </summary>
internal abstract record Request
{
    /// <summary>Names of the types by number: an enum's own ToString allocates.</summary>
    private static readonly string[] Names = [.. Enumerable.Range(0, (int)MessageType.Ok).Select(type => ((MessageType)type).ToString())];

    /// <summary>The type, as the prelude has it.</summary>
    internal abstract MessageType Type { get; }

    /// <summary>Reads any request.</summary>
    /// <param name="version">The prelude's version.</param>
    /// <param name="type">The prelude's type.</param>
    /// <param name="header">The header's bytes.</param>
    /// <param name="frames">Length of each payload frame in bytes.</param>
    /// <param name="limits">What it may have.</param>
    /// <exception cref="ProtocolVersionException">The version is another one, or it has no such type.</exception>
    /// <exception cref="ProtocolException">The header breaks a rule of docs/wire.md, or the frames don't fit to it.</exception>
    /// <exception cref="LimitExceededException">Something in it is over a limit.</exception>
    internal static Request Read(
        ushort version, ushort type, ReadOnlyMemory<byte> header, ReadOnlySpan<long> frames, ProtocolLimits limits)
    {
        ProtocolVersion.Check(version);
        limits.CheckSizes(header.Length, frames);
        if (!frames.IsEmpty && type != (ushort)MessageType.Put)
            throw new ProtocolException($"a message of type {type} with {frames.Length} payload frames; only PUT has any");
        if (!Enum.IsDefined((MessageType)type) || type >= (ushort)MessageType.Ok)
            throw ProtocolVersion.UnknownType(version, type);
        var reader = new HeaderReader(Names[type], header, limits);
        return type == (ushort)MessageType.Put ? PutRequest.Read(ref reader, frames) : Read((MessageType)type, ref reader);
    }

    /// <summary>The header's bytes.</summary>
    internal ReadOnlyMemory<byte> ToHeader()
    {
        var writer = new HeaderWriter();
        Write(ref writer);
        return writer.Finish();
    }

    /// <summary>Writes the header's entries.</summary>
    private protected abstract void Write(ref HeaderWriter writer);

    private static Request Read(MessageType type, ref HeaderReader reader) => type switch
    {
        MessageType.Hello => HelloRequest.Read(ref reader),
        MessageType.Ping => PlainRequest.Read(PlainRequest.Ping, ref reader),
        MessageType.Auth => AuthRequest.Read(ref reader),
        MessageType.Get => GetRequest.Read(ref reader),
        MessageType.Meta => MetaRequest.Read(ref reader),
        MessageType.RetrieveMeta => RetrieveMetaRequest.Read(ref reader),
        MessageType.RetrieveKeys or MessageType.Tags => PartitionRowsRequest.Read(type, ref reader),
        MessageType.List => ListRequest.Read(ref reader),
        MessageType.ClearKeys => ClearKeysRequest.Read(ref reader),
        MessageType.ClearRows => ClearRowsRequest.Read(ref reader),
        MessageType.ClearPartition => ClearPartitionRequest.Read(ref reader),
        MessageType.SetTags => SetTagsRequest.Read(ref reader),
        MessageType.ProductionStatus => ProductionStatusRequest.Read(ref reader),
        MessageType.ConsumptionStatus => ConsumptionStatusRequest.Read(ref reader),
        MessageType.ResetConsumption => ResetConsumptionRequest.Read(ref reader),
        MessageType.Partitions => PlainRequest.Read(PlainRequest.Partitions, ref reader),
        MessageType.Stats => PlainRequest.Read(PlainRequest.Stats, ref reader),
        MessageType.Metrics => PlainRequest.Read(PlainRequest.Metrics, ref reader),
        MessageType.SamplerTurn => SamplerTurnRequest.Read(ref reader),
        MessageType.SetSampler => SetSamplerRequest.Read(ref reader),
        MessageType.Checkpoint => CheckpointRequest.Read(ref reader),
        MessageType.CheckpointProgress => CheckpointProgressRequest.Read(ref reader),
        MessageType.Memory => MemoryRequest.Read(ref reader),
        MessageType.Reserve => ReserveRequest.Read(ref reader),
        MessageType.Release => ReleaseRequest.Read(ref reader),
        MessageType.Pin => PinRequest.Read(ref reader),
        _ => throw ProtocolVersion.UnknownType(ProtocolVersion.Current, (ushort)type),
    };
}

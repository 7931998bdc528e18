using TransferQueue.Protocol;

namespace TransferQueue.Probe;

/// <summary>A header that Python wrote.</summary>
/// <param name="Type">A request's type; 1000 + a request's type for its reply; <see cref="Nonce"/>, <see cref="Error"/>, <see cref="Batch"/>.</param>
/// <param name="Frames">Lengths of its payload frames.</param>
/// <param name="Header">Its bytes.</param>
internal sealed record Document(ushort Type, long[] Frames, byte[] Header)
{
    private const ushort FirstReply = 1000;
    private const ushort Nonce = 2000;
    private const ushort Error = 2001;
    private const ushort Batch = 2002;

    /// <summary>Reads the next document; null at the end.</summary>
    internal static Document? TryRead(BinaryReader input)
    {
        byte[] head = input.ReadBytes(8);
        if (head.Length == 0)
            return null;
        var frames = new long[BitConverter.ToUInt16(head, 2)];
        for (int i = 0; i < frames.Length; i++)
            frames[i] = input.ReadInt64();
        return new Document(BitConverter.ToUInt16(head), frames, input.ReadBytes(BitConverter.ToInt32(head, 4)));
    }

    /// <summary>Reads the header into its message and writes that.</summary>
    internal ReadOnlyMemory<byte> WrittenAgain() => Type switch
    {
        Nonce => NonceReply.Read(Header).ToHeader(),
        Error => ErrorReply.Read(Header).ToHeader(),
        Batch => BatchMetaCodec.Pack(BatchMetaCodec.Unpack(Header)),
        < FirstReply => Request.Read(ProtocolVersion.Current, Type, Header, Frames, ProtocolLimits.Default).ToHeader(),
        _ => ReplyTo((MessageType)(Type - FirstReply)).ToHeader(),
    };

    private Reply ReplyTo(MessageType request) => request switch
    {
        MessageType.Hello or MessageType.Auth => HelloReply.Read(Header),
        MessageType.Put => PutReply.Read(Header),
        MessageType.Get => GetReply.Read(Header, Frames),
        MessageType.Meta or MessageType.RetrieveMeta => MetaReply.Read(Header),
        MessageType.RetrieveKeys => RetrieveKeysReply.Read(Header),
        MessageType.List => ListReply.Read(Header),
        MessageType.ClearKeys or MessageType.ClearRows => RowsReply.Read(Header),
        MessageType.ClearPartition or MessageType.ResetConsumption => FoundReply.Read(Header),
        MessageType.ProductionStatus => StatusReply.Read(Header),
        MessageType.ConsumptionStatus => CheckReply.Read(Header), // the reply to a check; both requests have both
        MessageType.Partitions => PartitionsReply.Read(Header),
        MessageType.Stats => StatsReply.Read(Header),
        MessageType.Tags => TagsReply.Read(Header),
        MessageType.Metrics => MetricsReply.Read(Header),
        MessageType.SamplerTurn => SamplerTurnReply.Read(Header),
        MessageType.Checkpoint => CheckpointReply.Read(Header),
        MessageType.CheckpointProgress => CheckpointProgressReply.Read(Header),
        MessageType.Memory => MemoryReply.Read(Header),
        MessageType.Reserve => ReserveReply.Read(Header),
        _ => OkReply.Read(Header),
    };
}

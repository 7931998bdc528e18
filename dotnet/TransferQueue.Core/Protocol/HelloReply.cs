namespace TransferQueue.Protocol;

/// <summary>The reply to HELLO and AUTH: who the core is and what it allows.</summary>
/// <param name="Server">The version of its package.</param>
/// <param name="CoreProcessId">Its process.</param>
/// <param name="Epoch">Grows with every start of the core.</param>
/// <param name="Shared">Whether it offers shared memory to this client: MEMORY, RESERVE, RELEASE, PIN, and the flags of a prelude.</param>
/// <param name="Limits">What a message may have.</param>
/// <param name="Units">Storage units.</param>
/// <param name="CapacityBytes">What the storage holds at most.</param>
/// <param name="PollingMode">Whether a fetch that finds too little returns at once.</param>
internal sealed record HelloReply(
    string Server, int CoreProcessId, long Epoch, bool Shared, ProtocolLimits Limits, int Units, long CapacityBytes, bool PollingMode) : Reply
{
    private static readonly HeaderKeys Keys = new("server", "core_pid", "epoch", "shared", "limits", "units", "capacity_bytes", "polling_mode");

    /// <summary>Reads the header.</summary>
    internal static HelloReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("reply to HELLO", header, ProtocolLimits.Default);
        string? server = null;
        int? pid = null, units = null;
        long? epoch = null, capacity = null;
        ProtocolLimits? limits = null;
        bool? shared = null, polling = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "server":
                    server = reader.Name();
                    break;
                case "core_pid":
                    pid = reader.Integer32();
                    break;
                case "epoch":
                    epoch = reader.Integer();
                    break;
                case "shared":
                    shared = reader.Boolean();
                    break;
                case "limits":
                    limits = LimitsMap.Read(reader.Map());
                    break;
                case "units":
                    units = reader.Integer32();
                    break;
                case "capacity_bytes":
                    capacity = reader.Integer(0);
                    break;
                default:
                    polling = reader.Boolean();
                    break;
            }
        }
        return new HelloReply(
            reader.Required(server, "server"), reader.Required(pid, "core_pid"), reader.Required(epoch, "epoch"), reader.Required(shared, "shared"),
            reader.Required(limits, "limits"), reader.Required(units, "units"), reader.Required(capacity, "capacity_bytes"), reader.Required(polling, "polling_mode"));
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("server", Server);
        writer.Entry("core_pid", CoreProcessId);
        writer.Entry("epoch", Epoch);
        writer.Entry("shared", Shared);
        writer.Entry("limits", LimitsMap.Of(Limits));
        writer.Entry("units", Units);
        writer.Entry("capacity_bytes", CapacityBytes);
        writer.Entry("polling_mode", PollingMode);
    }
}

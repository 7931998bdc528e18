namespace TransferQueue.Protocol;

/// <summary>The limits as HELLO's reply has them: a map of integers.</summary>
internal static class LimitsMap
{
    private static readonly HeaderKeys Keys = new(
        "header_bytes", "frames", "frame_bytes", "payload_bytes", "nesting", "name_bytes", "key_bytes", "dimensions", "rows");

    /// <summary>The map of <paramref name="limits"/>.</summary>
    internal static Dictionary<string, long> Of(ProtocolLimits limits) => new()
    {
        ["header_bytes"] = limits.HeaderBytes,
        ["frames"] = limits.Frames,
        ["frame_bytes"] = limits.FrameBytes,
        ["payload_bytes"] = limits.PayloadBytes,
        ["nesting"] = limits.Nesting,
        ["name_bytes"] = limits.NameBytes,
        ["key_bytes"] = limits.KeyBytes,
        ["dimensions"] = limits.Dimensions,
        ["rows"] = limits.Rows,
    };

    /// <summary>Reads the map; a limit that is not told keeps its default.</summary>
    internal static ProtocolLimits Read(HeaderReader map)
    {
        var limits = new ProtocolLimits();
        while (map.Next(Keys) is { } key)
            limits = With(limits, key, map.Integer(0));
        return limits;
    }

    private static ProtocolLimits With(ProtocolLimits limits, string key, long value) => key switch
    {
        "header_bytes" => limits with { HeaderBytes = value },
        "frames" => limits with { Frames = value },
        "frame_bytes" => limits with { FrameBytes = value },
        "payload_bytes" => limits with { PayloadBytes = value },
        "nesting" => limits with { Nesting = value },
        "name_bytes" => limits with { NameBytes = value },
        "key_bytes" => limits with { KeyBytes = value },
        "dimensions" => limits with { Dimensions = value },
        _ => limits with { Rows = value },
    };
}

using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>SAMPLER_TURN: the sampler's process brings its answer to the last question and waits for the next.</summary>
/// <param name="Token">The job's token: only a process of the sidecar has this part.</param>
/// <param name="Number">Which question this answers; 0: none.</param>
/// <param name="Sampled">Global indexes of the batch's rows; empty: there is no batch. Default: the sampler failed, or there was nothing to pick.</param>
/// <param name="Consumed">Those that the task does not get again.</param>
/// <param name="Error">What the sampler raised, with its traceback; null: nothing.</param>
internal sealed record SamplerTurnRequest(
    ReadOnlyMemory<byte> Token, long Number, ImmutableArray<long> Sampled, ImmutableArray<long> Consumed, string? Error) : Request
{
    /// <summary>Bytes of a traceback.</summary>
    internal const int MostErrorBytes = 1 << 16;

    private static readonly HeaderKeys Keys = new("token", "number", "sampled", "consumed", "error", "state");

    /// <summary>What the sampler remembers, packed, if that was asked for; null: nothing.</summary>
    public ReadOnlyMemory<byte>? State { get; init; }

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.SamplerTurn;

    /// <summary>Reads the header.</summary>
    internal static SamplerTurnRequest Read(ref HeaderReader reader)
    {
        ReadOnlyMemory<byte>? token = null, state = null;
        long? number = null;
        ImmutableArray<long> sampled = default, consumed = default;
        string? error = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "token":
                    token = reader.Binary();
                    break;
                case "number":
                    number = reader.Integer(0);
                    break;
                case "sampled":
                    sampled = reader.Indexes();
                    break;
                case "consumed":
                    consumed = reader.Indexes();
                    break;
                case "error":
                    error = reader.Text(MostErrorBytes);
                    break;
                default:
                    state = reader.Binary();
                    break;
            }
        }
        return new SamplerTurnRequest(reader.Required(token, "token"), reader.Required(number, "number"), sampled, consumed, error) { State = state };
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("token", Token);
        writer.Entry("number", Number);
        if (!Sampled.IsDefault)
            writer.Numbers("sampled", Sampled);
        if (!Consumed.IsDefault)
            writer.Numbers("consumed", Consumed);
        writer.Entry("error", Error);
        writer.Entry("state", State);
    }
}

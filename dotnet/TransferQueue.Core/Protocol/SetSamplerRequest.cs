using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>SET_SAMPLER: another sampler picks the rows of fetches from now on.</summary>
/// <param name="Name">One of the core's; of a hosted one the name of its class.</param>
/// <param name="Arguments">What the constructor of one of the core's gets.</param>
/// <param name="Token">The job's token: the sidecar's sampler process says that it runs the sampler. Null: the sampler is one of the core's.</param>
internal sealed record SetSamplerRequest(string Name, ImmutableSortedDictionary<string, long> Arguments, ReadOnlyMemory<byte>? Token) : Request
{
    private static readonly HeaderKeys Keys = new("name", "arguments", "token");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.SetSampler;

    /// <summary>Reads the header.</summary>
    internal static SetSamplerRequest Read(ref HeaderReader reader)
    {
        string? name = null;
        ImmutableSortedDictionary<string, long>? arguments = null;
        ReadOnlyMemory<byte>? token = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "name":
                    name = reader.Name();
                    break;
                case "arguments":
                    arguments = Counters.Read(reader.Map());
                    break;
                default:
                    token = reader.Binary();
                    break;
            }
        }
        return new SetSamplerRequest(reader.Required(name, "name"), reader.Required(arguments, "arguments"), token);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("name", Name);
        writer.Entry("arguments", Arguments);
        writer.Entry("token", Token);
    }
}

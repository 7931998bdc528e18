using System.Collections.Immutable;
using MessagePack;

namespace TransferQueue.Hosting;

/// <summary>Reads the options map that a server is started with. Unknown keys are refused: they are ours on both sides.</summary>
internal static class OptionsReader
{
    /// <summary>What reads one entry's value.</summary>
    internal delegate void Entry(string key, ref MessagePackReader reader);

    /// <summary>Reads a map with string keys; entries whose value is nil are left out.</summary>
    /// <exception cref="InvalidArgumentException">It is no such map, or a value has the wrong type.</exception>
    public static void Read(string what, ReadOnlyMemory<byte> bytes, Entry entry)
    {
        string key = "";
        try
        {
            var reader = new MessagePackReader(bytes);
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                key = reader.ReadString() ?? "";
                if (!reader.TryReadNil())
                    entry(key, ref reader);
            }
        }
        catch (Exception error) when (error is MessagePackSerializationException or EndOfStreamException)
        {
            throw new InvalidArgumentException($"{what}: option '{key}' can't be read: {error.Message}");
        }
    }

    /// <summary>The error for a key that nobody knows.</summary>
    public static InvalidArgumentException Unknown(string what, string key) => new($"{what}: unknown option '{key}'");

    /// <summary>Reads binary as an array of its own.</summary>
    public static ImmutableArray<byte> Bytes(ref MessagePackReader reader)
    {
        ReadOnlyMemory<byte> bytes = reader.ReadBytes() is { } sequence ? System.Buffers.BuffersExtensions.ToArray(sequence) : default;
        return [.. bytes.Span];
    }
}

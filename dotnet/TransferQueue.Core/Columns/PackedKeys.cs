using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;

namespace TransferQueue.Columns;

/// <summary>Keys as they travel: their UTF-8, joined by NUL. An immutable value.</summary>
/// <param name="Count">How many keys.</param>
/// <param name="Joined">Count − 1 NULs between them; empty for none.</param>
public readonly record struct PackedKeys(int Count, ReadOnlyMemory<byte> Joined)
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Joins <paramref name="keys"/>.</summary>
    /// <exception cref="InvalidArgumentException">A key has a NUL or half a surrogate pair.</exception>
    public static PackedKeys Pack(ReadOnlySpan<string> keys)
    {
        var joined = new ArrayBufferWriter<byte>(Math.Max(keys.Length * 16, 1));
        for (int i = 0; i < keys.Length; i++)
        {
            if (i > 0)
                joined.Write("\0"u8);
            Append(keys[i], joined);
        }
        return new PackedKeys(keys.Length, joined.WrittenMemory);
    }

    /// <summary>The keys, one by one.</summary>
    /// <param name="maxKeyBytes">Bytes that a key may have.</param>
    /// <exception cref="ProtocolException">There are fewer or more than <see cref="Count"/>, or one is no UTF-8.</exception>
    /// <exception cref="LimitExceededException">A key is too long.</exception>
    public ImmutableArray<string> Unpack(int maxKeyBytes = int.MaxValue)
    {
        var rest = Joined.Span;
        int separators = rest.Count((byte)0);
        if (Count == 0 ? !rest.IsEmpty : separators != Count - 1)
            throw new ProtocolException($"keys: {Count} announced, {(rest.IsEmpty ? 0 : separators + 1)} there");
        var keys = new string[Count];
        for (int i = 0; i < keys.Length; i++)
        {
            int end = i == keys.Length - 1 ? rest.Length : rest.IndexOf((byte)0);
            keys[i] = Decode(rest[..end], maxKeyBytes);
            rest = rest[Math.Min(end + 1, rest.Length)..];
        }
        return ImmutableCollectionsMarshal.AsImmutableArray(keys);
    }

    private static void Append(string key, ArrayBufferWriter<byte> joined)
    {
        if (key.Contains('\0'))
            throw new InvalidArgumentException($"key '{key.Replace("\0", "\\0")}': has a NUL, which separates keys; use another character");
        try
        {
            StrictUtf8.GetBytes(key, joined);
        }
        catch (EncoderFallbackException)
        {
            throw new InvalidArgumentException($"key of {key.Length} characters: has half a surrogate pair and so no UTF-8");
        }
    }

    private static string Decode(ReadOnlySpan<byte> key, int maxKeyBytes)
    {
        if (key.Length > maxKeyBytes)
            throw new LimitExceededException($"a key of {key.Length} bytes; a key may have {maxKeyBytes}");
        try
        {
            return StrictUtf8.GetString(key);
        }
        catch (DecoderFallbackException)
        {
            throw new ProtocolException("keys: one is no UTF-8");
        }
    }
}

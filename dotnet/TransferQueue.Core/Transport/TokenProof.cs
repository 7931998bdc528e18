using System.Security.Cryptography;

namespace TransferQueue.Transport;

/// <summary>
/// Shows that a client knows the job's token without sending it: the HMAC-SHA256 (RFC 2104), under the token, over the client's id and a nonce that the
/// server made for this connection. A recorded proof is of no use on another connection. Stateless; any thread.
/// </summary>
internal static class TokenProof
{
    /// <summary>Bytes of a nonce.</summary>
    public const int NonceBytes = 32;

    /// <summary>Bytes of a proof.</summary>
    public const int MacBytes = HMACSHA256.HashSizeInBytes;

    /// <summary>A nonce that nobody can guess.</summary>
    public static byte[] CreateNonce() => RandomNumberGenerator.GetBytes(NonceBytes);

    /// <summary>The proof.</summary>
    /// <param name="token">The job's token, not empty.</param>
    /// <param name="client">The client's id, 16 bytes: of a fixed length, so that no two pairs run into the same bytes.</param>
    /// <param name="nonce">The server's nonce, 32 bytes.</param>
    /// <exception cref="AuthenticationException">The token is empty: it would prove nothing.</exception>
    public static byte[] Compute(ReadOnlySpan<byte> token, ReadOnlySpan<byte> client, ReadOnlySpan<byte> nonce)
    {
        if (token.IsEmpty)
            throw new AuthenticationException("token: it is empty; give the job's token, or set TRANSFERQUEUE_TOKEN");
        return HMACSHA256.HashData(token, (byte[])[.. client, .. nonce]);
    }

    /// <summary>Whether a proof is right. Takes the same time for every wrong one.</summary>
    public static bool Verify(ReadOnlySpan<byte> mac, ReadOnlySpan<byte> token, ReadOnlySpan<byte> client, ReadOnlySpan<byte> nonce) =>
        nonce.Length == NonceBytes && CryptographicOperations.FixedTimeEquals(mac, Compute(token, client, nonce));
}

using TransferQueue.Transport;
using Xunit;

namespace TransferQueue.Tests.Transport;

public sealed class TokenProofTests
{
    private static readonly byte[] Token = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
    private static readonly byte[] Client = [.. Enumerable.Range(100, 16).Select(i => (byte)i)];
    private static readonly byte[] Nonce = [.. Enumerable.Range(200, 32).Select(i => (byte)i)];

    /// <summary>From Python: hmac.digest(bytes(range(32)), bytes(range(100, 116)) + bytes(range(200, 232)), "sha256").</summary>
    private const string Expected = "4a923c0768e60f2cdd11e0ec86a69504cfdb38a3fcfc40d5ac3790de45f77565";

    [Fact]
    public void TheProofIsTheOneThatAnotherImplementationMakes() =>
        Assert.Equal(Expected, Convert.ToHexStringLower(TokenProof.Compute(Token, Client, Nonce)));

    [Fact]
    public void OnlyTheRightProofPasses()
    {
        byte[] mac = TokenProof.Compute(Token, Client, Nonce);
        Assert.True(TokenProof.Verify(mac, Token, Client, Nonce));
        for (int i = 0; i < mac.Length; i++)
        {
            byte[] wrong = [.. mac];
            wrong[i] ^= 1;
            Assert.False(TokenProof.Verify(wrong, Token, Client, Nonce));
        }
        Assert.False(TokenProof.Verify(mac.AsSpan(0, 31), Token, Client, Nonce));
        Assert.False(TokenProof.Verify(mac, [.. Token, 1], Client, Nonce));
        Assert.False(TokenProof.Verify(mac, Token, [.. Client[..15], 0], Nonce));
        Assert.False(TokenProof.Verify(mac, Token, Client, TokenProof.CreateNonce()));
        Assert.False(TokenProof.Verify(mac, Token, [.. Client, Nonce[0]], Nonce.AsSpan(1))); // the same bytes, cut elsewhere
    }

    [Fact]
    public void AnEmptyTokenProvesNothing() => Assert.Throws<AuthenticationException>(() => TokenProof.Compute([], Client, Nonce));

    [Fact]
    public void NoncesDiffer() => Assert.NotEqual(TokenProof.CreateNonce(), TokenProof.CreateNonce());
}

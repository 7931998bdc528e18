using TransferQueue.Client;
using Xunit;

namespace TransferQueue.Tests.Client;

public sealed class ServerAddressTests
{
    [Theory]
    [InlineData("unix:///run/tq/core", "/run/tq/core", null, 0)]
    [InlineData("tcp://10.0.0.7:4711", null, "10.0.0.7", 4711)]
    [InlineData("tcp://head-node.cluster:1", null, "head-node.cluster", 1)]
    [InlineData("tcp://[fe80::1]:65535", null, "fe80::1", 65535)]
    public void AnAddressIsReadAndWrittenTheSameWay(string text, string? path, string? host, int port)
    {
        var address = ServerAddress.Parse(text);
        Assert.Equal((path, host, port), (address.Path, address.Host, address.Port));
        Assert.Equal(text, address.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("/run/tq/core")]
    [InlineData("unix://relative/path")]
    [InlineData("unix://")]
    [InlineData("unix:///nul\0inside")]
    [InlineData("tcp://host")]
    [InlineData("tcp://:1")]
    [InlineData("tcp://host:")]
    [InlineData("tcp://host:65536")]
    [InlineData("tcp://host:-1")]
    [InlineData("ipc:///tmp/x")]
    public void WhatIsNoAddressIsRefused(string text) =>
        Assert.Throws<InvalidArgumentException>(() => ServerAddress.Parse(text));

    [Fact]
    public void APathThatNoSocketTakesIsRefusedWithItsBytes()
    {
        ServerAddress.Parse("unix:///" + new string('x', 106));
        var error = Assert.Throws<InvalidArgumentException>(() => ServerAddress.Parse("unix:///" + new string('ä', 54)));
        Assert.Contains("109 bytes", error.Message);
    }
}

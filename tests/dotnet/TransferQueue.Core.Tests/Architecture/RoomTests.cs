using System.Runtime.CompilerServices;
using Xunit;

namespace TransferQueue.Tests.Architecture;

public sealed class RoomTests
{
    [Fact]
    public void EveryRoomUsesOnlyRoomsBeforeIt()
    {
        var sources = Sources().ToList();
        Assert.True(sources.Count > 20, $"{sources.Count} sources found; the core has more");
        Assert.Empty(sources.SelectMany(source => Rooms.Breaches(source.Path, source.Text)));
    }

    [Fact]
    public void ARoomThatMayBeUsedComesBefore()
    {
        var order = Rooms.MayUse.Keys.ToList();
        Assert.All(Rooms.MayUse, room => Assert.All(room.Value, used => Assert.True(order.IndexOf(used) < order.IndexOf(room.Key), $"{room.Key} uses {used}")));
    }

    [Theory]
    [InlineData("using TransferQueue.Control;")]
    [InlineData("using static TransferQueue.Control.Partition;")]
    [InlineData("using P = TransferQueue.Control.Partition;")]
    [InlineData("using global::TransferQueue.Control;")]
    [InlineData("class X { TransferQueue.Control.Partition _partition; }")]
    [InlineData("class X { Control.Partition _partition; }")]
    [InlineData("class X { List<Control.Partition> _partitions; }")]
    public void ABreachIsFound(string code) => Assert.Equal(
        ["Storage/Block.cs: Storage uses Control; it may use Columns, Memory"],
        Rooms.Breaches("Storage/Block.cs", $"{Before(code)}namespace TransferQueue.Storage;\n{After(code)}"));

    [Theory]
    [InlineData("Storage/Block.cs", "namespace TransferQueue.Store;", "its namespace is TransferQueue.Store")]
    [InlineData("Storage/Native/X.cs", "namespace TransferQueue.Storage;", "its folder's is TransferQueue.Storage.Native")]
    [InlineData("Cellar/X.cs", "namespace TransferQueue.Cellar;", "Cellar is no room")]
    [InlineData("Storage/Cellar/X.cs", "namespace TransferQueue.Storage.Cellar;", "Storage/Cellar is no room")]
    [InlineData("X.cs", "using TransferQueue.Columns;\nnamespace TransferQueue;", "the root uses Columns")]
    [InlineData("Storage/X.cs", "class X { }", "no file-scoped namespace")]
    public void AWrongPlaceIsFound(string path, string text, string breach) => Assert.Contains(breach, Assert.Single(Rooms.Breaches(path, text)));

    [Theory]
    [InlineData("// using TransferQueue.Control; and Control.Partition")]
    [InlineData("/// <see cref=\"TransferQueue.Control.Partition\"/>")]
    [InlineData("using TransferQueue.Columns; using TransferQueue.Memory.Native;")]
    [InlineData("class X { int Controlled; object y = z.Control.Partition; }")]
    public void WhatIsAllowedOrNotCodeIsNoBreach(string code) =>
        Assert.Empty(Rooms.Breaches("Storage/X.cs", $"{Before(code)}namespace TransferQueue.Storage;\n{After(code)}"));

    private static string Before(string code) => code.StartsWith("using", StringComparison.Ordinal) ? code + "\n" : "";

    private static string After(string code) => code.StartsWith("using", StringComparison.Ordinal) ? "" : code;

    private static IEnumerable<(string Path, string Text)> Sources([CallerFilePath] string here = "")
    {
        string core = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "..", "..", "dotnet", "TransferQueue.Core"));
        return Directory.EnumerateFiles(core, "*.cs", SearchOption.AllDirectories)
            .Select(file => (Path.GetRelativePath(core, file).Replace('\\', '/'), file))
            .Where(source => !source.Item1.StartsWith("bin/", StringComparison.Ordinal) && !source.Item1.StartsWith("obj/", StringComparison.Ordinal))
            .Select(source => (source.Item1, File.ReadAllText(source.file)));
    }
}

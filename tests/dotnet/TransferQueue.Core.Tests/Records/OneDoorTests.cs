using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using TransferQueue.Control;
using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

/// <summary>Everything that changes is a record: nobody else calls what changes a controller or a storage.</summary>
public sealed partial class OneDoorTests
{
    [Fact]
    public void OnlyRecordsCommit()
    {
        string core = Core();
        string[] callers = [.. Directory.EnumerateFiles(core, "*.cs", SearchOption.AllDirectories)
            .Where(file => !Path.GetRelativePath(core, file).StartsWith("obj", StringComparison.Ordinal))
            .Where(file => CommitCall().IsMatch(File.ReadAllText(file)))
            .Select(file => Path.GetRelativePath(core, file))];
        Assert.NotEmpty(callers);
        Assert.All(callers, file => Assert.Matches(@"^Records/\w*Records?\.cs$|^Records/StateMachine\.cs$", file.Replace('\\', '/')));
    }

    [Fact]
    public void WhatIsNotCalledCommitChangesNothingThatAReplayWouldMiss()
    {
        // The controller's other methods look or plan; this list is the reviewed one.
        string[] expected =
        [
            "Accept", "Build", "Capture", "Check", "CommonFields", "ConsumptionStatus", "FetchedMeta", "Find", "ForceFetch", "InsertMeta", "IsConsumed", "IsProduced", "KeysMeta", "List", "NotReady", "Offer", "Pick",
            "PlanClearKeys", "PlanClearRows", "PlanConsume", "PlanPut", "PlanReadKeys", "PlanReadRows", "PlanRows", "PlanTags", "ProductionStatus",
            "PutMeta", "RetrieveKeys", "Tags", "TagsOf",
            "UseSampler", // who picks next; a record holds what was picked
        ];
        Assert.Equal(expected, Methods(typeof(Controller)).Where(name => !name.StartsWith("Commit", StringComparison.Ordinal)));
        Assert.Contains("CommitPut", Methods(typeof(Controller)));
    }

    [Fact]
    public void EveryRecordTypeHasAKindOfItsOwn()
    {
        Type[] types = [.. typeof(TransferQueue.Records.Record).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(TransferQueue.Records.Record)) && !type.IsAbstract)];
        Assert.Equal(Enum.GetNames<RecordKind>().Select(kind => kind + "Record").Order(), types.Select(type => type.Name).Order());
        Assert.All(types, type => Assert.True(type.IsSealed));
    }

    private static IEnumerable<string> Methods(Type type) => type
        .GetMethods(BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
        .Where(method => !method.IsPrivate && !method.IsSpecialName && !method.Name.Contains('<')).Select(method => method.Name).Distinct().Order(StringComparer.Ordinal);

    private static string Core([CallerFilePath] string file = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "..", "..", "..", "..", "dotnet", "TransferQueue.Core"));

    /// <summary>A call through an instance; within a type it is called without one.</summary>
    [GeneratedRegex(@"\.Commit[A-Z]\w*\(|\brecord\.Commit\(")]
    private static partial Regex CommitCall();
}

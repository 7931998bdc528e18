using System.Text.RegularExpressions;

namespace TransferQueue.Tests.Architecture;

/// <summary>The rooms of the core in their order, and what the sources say of the doors between them (docs/architecture.md).</summary>
internal static partial class Rooms
{
    /// <summary>Which rooms a room may use besides itself and the root.</summary>
    internal static IReadOnlyDictionary<string, string[]> MayUse { get; } = new Dictionary<string, string[]>
    {
        ["Columns"] = [],
        ["Memory"] = ["Columns"],
        ["Transport"] = ["Columns", "Memory"],
        ["Protocol"] = ["Columns"],
        ["Sampling"] = ["Columns"],
        ["Control"] = ["Columns", "Sampling"],
        ["Storage"] = ["Columns", "Memory"],
        ["Records"] = ["Columns", "Protocol", "Sampling", "Control", "Storage"],
        ["Client"] = ["Columns", "Memory", "Transport", "Protocol", "Sampling", "Control", "Storage", "Records"],
        ["Hosting"] = ["Columns", "Memory", "Transport", "Protocol", "Sampling", "Control", "Storage", "Records", "Client"],
        ["Interop"] = ["Columns", "Memory", "Transport", "Protocol", "Sampling", "Control", "Storage", "Records", "Client", "Hosting"],
    };

    /// <summary>Folders inside a room that are parts of it.</summary>
    private static readonly string[] Parts = ["Native"];

    /// <summary>Says what a source breaks, a sentence per breach.</summary>
    /// <param name="path">Its path below the core's folder, with slashes.</param>
    /// <param name="text">Its text.</param>
    internal static IEnumerable<string> Breaches(string path, string text)
    {
        string[] folders = path.Split('/')[..^1];
        string code = Comments().Replace(text, "");
        string wanted = string.Join(".", folders.Prepend("TransferQueue"));
        foreach (Match match in Namespace().Matches(code))
        {
            if (match.Groups["name"].Value != wanted)
                yield return $"{path}: its namespace is {match.Groups["name"].Value}; its folder's is {wanted}";
        }
        if (!Namespace().IsMatch(code))
            yield return $"{path}: no file-scoped namespace";
        if (folders.Length == 0)
        {
            foreach (string room in Used(code))
                yield return $"{path}: the root uses {room}";
            yield break;
        }
        if (!MayUse.TryGetValue(folders[0], out string[]? allowed) || folders.Length > 2 || folders[1..].Except(Parts).Any())
        {
            yield return $"{path}: {string.Join("/", folders)} is no room";
            yield break;
        }
        foreach (string room in Used(code).Where(room => room != folders[0] && !allowed.Contains(room)))
            yield return $"{path}: {folders[0]} uses {room}; it may use {string.Join(", ", allowed.DefaultIfEmpty("the root only"))}";
    }

    /// <summary>
    /// The rooms that code names: by <c>using</c>, by a full name, or by a name from the root's namespace, which encloses all rooms.
    /// </summary>
    private static IEnumerable<string> Used(string code) => Usings().Matches(code).Concat(FullNames().Matches(code)).Concat(RelativeNames().Matches(code))
        .Select(match => match.Groups["room"].Value).Distinct().Where(MayUse.ContainsKey);

    [GeneratedRegex(@"//[^\n]*|/\*.*?\*/", RegexOptions.Singleline)]
    private static partial Regex Comments();

    [GeneratedRegex(@"^\s*namespace\s+(?<name>[\w.]+)\s*[;{]", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"^\s*(global\s+)?using\s+(static\s+)?(\w+\s*=\s*)?(global::)?TransferQueue\.(?<room>\w+)", RegexOptions.Multiline)]
    private static partial Regex Usings();

    [GeneratedRegex(@"\bTransferQueue\.(?<room>\w+)\.")]
    private static partial Regex FullNames();

    [GeneratedRegex(@"(?<![\w.""])(?<room>Columns|Memory|Transport|Protocol|Sampling|Control|Storage|Records|Client|Hosting|Interop)\.(Native\.)?[A-Z]\w*")]
    private static partial Regex RelativeNames();
}

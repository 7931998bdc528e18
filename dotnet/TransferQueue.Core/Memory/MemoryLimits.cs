using System.Globalization;

namespace TransferQueue.Memory;

/// <summary>How much memory this machine, or this container, has. Reads small files of the kernel; any thread.</summary>
internal static class MemoryLimits
{
    /// <summary>The default capacity: half of the smaller of the machine's available memory and the container's limit, whole MiB.</summary>
    public static long DefaultCapacityBytes() => DefaultCapacityBytes("/proc", "/sys/fs/cgroup");

    /// <summary>The same over other roots of the two file systems, for tests.</summary>
    internal static long DefaultCapacityBytes(string proc, string cgroups)
    {
        long half = Math.Min(AvailableBytes(proc), CgroupLimitBytes(proc, cgroups)) / 2;
        return Math.Max(1 << 20, half >> 20 << 20);
    }

    /// <summary>MemAvailable of <c>meminfo</c> (proc_meminfo(5)).</summary>
    /// <exception cref="TransferQueueException">The file has no such line.</exception>
    internal static long AvailableBytes(string proc)
    {
        foreach (string line in File.ReadLines(Path.Combine(proc, "meminfo")))
            if (line.StartsWith("MemAvailable:", StringComparison.Ordinal))
                return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
        throw new TransferQueueException(ErrorKind.TransferQueue, $"memory: no MemAvailable in {proc}/meminfo; give the capacity explicitly");
    }

    /// <summary>Bytes that this machine, or this container, can still give: available memory, or what a control group has left.</summary>
    public static long RemainingBytes() => RemainingBytes("/proc", "/sys/fs/cgroup");

    /// <summary>The same over other roots of the two file systems, for tests.</summary>
    internal static long RemainingBytes(string proc, string cgroups)
    {
        long least = AvailableBytes(proc);
        foreach ((string group, bool isV2) in Groups(proc, cgroups))
            if (LimitOf(group, isV2) is var limit and < long.MaxValue)
                least = Math.Min(least, limit - UsedBytes(group, isV2));
        return Math.Max(0, least);
    }

    /// <summary>The least memory limit on the path of this process' control group (cgroups(7), versions 1 and 2); long.MaxValue without one.</summary>
    internal static long CgroupLimitBytes(string proc, string cgroups)
    {
        long least = long.MaxValue;
        foreach ((string group, bool isV2) in Groups(proc, cgroups))
            least = Math.Min(least, LimitOf(group, isV2));
        return least;
    }

    /// <summary>Folders of this process' memory control groups up to the root; a container often sees its own group as the root.</summary>
    private static IEnumerable<(string Group, bool IsV2)> Groups(string proc, string cgroups)
    {
        string list = Path.Combine(proc, "self", "cgroup");
        if (!File.Exists(list))
            yield break;
        foreach (string line in File.ReadLines(list))
        {
            string[] parts = line.Split(':', 3); // number : controllers : path
            bool isV2 = parts.Length == 3 && parts[1].Length == 0;
            if (!isV2 && (parts.Length != 3 || !parts[1].Split(',').Contains("memory")))
                continue;
            string root = isV2 ? cgroups : Path.Combine(cgroups, "memory");
            for (string? path = parts[2].Trim('/'); path is not null; path = path.Length == 0 ? null : Path.GetDirectoryName(path))
                yield return (Path.Combine(root, path), isV2);
        }
    }

    private static long LimitOf(string group, bool isV2) => ReadNumber(group, isV2 ? "memory.max" : "memory.limit_in_bytes") ?? long.MaxValue;

    /// <summary>Used bytes, without the file pages that the kernel gives up when asked.</summary>
    private static long UsedBytes(string group, bool isV2)
    {
        long used = ReadNumber(group, isV2 ? "memory.current" : "memory.usage_in_bytes") ?? 0;
        string key = isV2 ? "inactive_file " : "total_inactive_file ";
        string stat = Path.Combine(group, "memory.stat");
        string? line = File.Exists(stat) ? File.ReadLines(stat).FirstOrDefault(l => l.StartsWith(key, StringComparison.Ordinal)) : null;
        return line is null ? used : used - long.Parse(line.AsSpan(key.Length), CultureInfo.InvariantCulture);
    }

    /// <returns>Null for no file, or no number: "max" is none.</returns>
    private static long? ReadNumber(string group, string file)
    {
        string name = Path.Combine(group, file);
        return File.Exists(name) && long.TryParse(File.ReadAllText(name).Trim(), CultureInfo.InvariantCulture, out long number) ? number : null;
    }
}

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

    /// <summary>The least memory limit on the path of this process' control group (cgroups(7), versions 1 and 2); long.MaxValue without one.</summary>
    internal static long CgroupLimitBytes(string proc, string cgroups)
    {
        string list = Path.Combine(proc, "self", "cgroup");
        if (!File.Exists(list))
            return long.MaxValue;
        long least = long.MaxValue;
        foreach (string line in File.ReadLines(list))
        {
            string[] parts = line.Split(':', 3); // number : controllers : path
            if (parts.Length != 3)
                continue;
            if (parts[1].Length == 0)
                least = Math.Min(least, LeastLimit(cgroups, parts[2], "memory.max"));
            else if (parts[1].Split(',').Contains("memory"))
                least = Math.Min(least, LeastLimit(Path.Combine(cgroups, "memory"), parts[2], "memory.limit_in_bytes"));
        }
        return least;
    }

    /// <summary>The least limit from a group up to the root; a container often sees its own group as the root.</summary>
    private static long LeastLimit(string root, string path, string file)
    {
        long least = long.MaxValue;
        for (string? group = path.Trim('/'); group is not null; group = group.Length == 0 ? null : Path.GetDirectoryName(group))
        {
            string name = Path.Combine(root, group, file);
            if (File.Exists(name) && long.TryParse(File.ReadAllText(name).Trim(), CultureInfo.InvariantCulture, out long limit))
                least = Math.Min(least, limit); // "max" is no number: no limit
        }
        return least;
    }
}

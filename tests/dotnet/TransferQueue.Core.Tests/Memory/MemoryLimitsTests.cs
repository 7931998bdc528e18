using TransferQueue.Memory;
using Xunit;

namespace TransferQueue.Tests.Memory;

public sealed class MemoryLimitsTests : IDisposable
{
    private const long GiB = 1 << 30;
    private readonly string _root = Directory.CreateTempSubdirectory("tq-limits").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private void Write(string path, string text)
    {
        string file = Path.Combine(_root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
    }

    private long Default(string cgroup, long availableKiB = 16 << 20)
    {
        Write("proc/meminfo", $"MemTotal:       99999999 kB\nMemAvailable:   {availableKiB} kB\n");
        Write("proc/self/cgroup", cgroup);
        return MemoryLimits.DefaultCapacityBytes(Path.Combine(_root, "proc"), Path.Combine(_root, "cg"));
    }

    [Fact]
    public void WithoutALimitItIsHalfOfTheAvailableMemory() => Assert.Equal(8 * GiB, Default("0::/\n"));

    [Fact]
    public void TheLeastLimitOnThePathCounts()
    {
        Write("cg/a/b/memory.max", "max\n");
        Write("cg/a/memory.max", $"{4 * GiB}\n");
        Write("cg/memory.max", $"{6 * GiB}\n");
        Assert.Equal(2 * GiB, Default("0::/a/b\n"));
    }

    [Fact]
    public void AContainerThatSeesItsGroupAsTheRootIsBoundByIt()
    {
        Write("cg/memory.max", $"{2 * GiB}\n");
        Assert.Equal(GiB, Default("0::/not/visible/here\n"));
    }

    [Fact]
    public void TheFirstVersionOfControlGroupsCounts()
    {
        Write("cg/memory/docker/x/memory.limit_in_bytes", $"{GiB}\n");
        Assert.Equal(GiB / 2, Default("12:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n"));
    }

    [Fact]
    public void TheSmallerOfBothCounts()
    {
        Write("cg/memory.max", $"{64 * GiB}\n");
        Assert.Equal(GiB / 2, Default("0::/\n", availableKiB: 1 << 20));
    }

    [Theory]
    [InlineData("0::/a", "cg/a", "memory.max", "memory.current", "inactive_file")]
    [InlineData("3:memory:/a", "cg/memory/a", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")]
    public void WhatAControlGroupHasLeftBoundsWhatRemains(string line, string group, string limit, string usage, string inactive)
    {
        Write($"{group}/{limit}", $"{4 * GiB}");
        Write($"{group}/{usage}", $"{3 * GiB}");
        Default(line + "\n");
        Assert.Equal(GiB, MemoryLimits.RemainingBytes(Path.Combine(_root, "proc"), Path.Combine(_root, "cg")));
        Write($"{group}/memory.stat", $"anon 5\n{inactive} {GiB}\n");
        Assert.Equal(2 * GiB, MemoryLimits.RemainingBytes(Path.Combine(_root, "proc"), Path.Combine(_root, "cg")));
    }

    [Fact]
    public void WithoutAControlGroupTheAvailableMemoryRemains()
    {
        Default("0::/\n");
        Assert.Equal(16 * GiB, MemoryLimits.RemainingBytes(Path.Combine(_root, "proc"), Path.Combine(_root, "cg")));
    }

    [Fact]
    public void ThisMachineHasADefault() => Assert.InRange(MemoryLimits.DefaultCapacityBytes(), 1 << 20, 1L << 50);
}

using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;
using Perfolizer.Horology;

namespace TransferQueue.Benchmarks;

/// <summary>Runs the micro-benchmarks of single types: docs/benchmarks.md. Arguments go to BenchmarkDotNet: <c>--filter '*Copy*'</c>.</summary>
internal static class Program
{
    public static void Main(string[] arguments) =>
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(arguments.Contains("--filter") ? arguments : [.. arguments, "--filter", "*"], Config());

    /// <summary>
    /// A short job in this process: about a second per benchmark, all of them within three minutes. No project is generated and built, so it
    /// needs nothing but the build that is there.
    /// </summary>
    private static ManualConfig Config() => ManualConfig.CreateEmpty()
        .AddJob(Job.Default
            .WithToolchain(new InProcessNoEmitToolchain(logOutput: false))
            .WithWarmupCount(2)
            .WithIterationCount(7)
            .WithIterationTime(TimeInterval.FromMilliseconds(80)))
        .AddColumnProvider(DefaultColumnProviders.Instance)
        .AddDiagnoser(MemoryDiagnoser.Default)
        .AddExporter(MarkdownExporter.GitHub)
        .AddLogger(ConsoleLogger.Default)
        .WithOptions(ConfigOptions.DisableOptimizationsValidator);
}

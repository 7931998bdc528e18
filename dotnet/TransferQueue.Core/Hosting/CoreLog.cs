namespace TransferQueue.Hosting;

/// <summary>The sidecar's log: its standard error, which the keeper directs to a file. Any thread.</summary>
internal static class CoreLog
{
    /// <summary>Notes what an operator should know.</summary>
    public static void Note(string text) => Console.Error.WriteLine($"{DateTime.Now:yyyy-MM-dd HH:mm:ss.fff} core: {text}");

    /// <summary>Notes a fault of ours, with its stack.</summary>
    public static void Fault(Exception error) => Note($"a fault: {error}");
}

namespace TransferQueue.Protocol;

/// <summary>CHECKPOINT: begins to save or load a checkpoint, or a half of one.</summary>
/// <param name="Action">One of <see cref="Actions"/>.</param>
/// <param name="Path">A folder, of a controller half a file: an absolute path on the core's host.</param>
/// <param name="Metadata">The text of metadata.json; of a save only.</param>
internal sealed record CheckpointRequest(string Action, string Path, string? Metadata) : Request
{
    internal const string Save = "save";
    internal const string Load = "load";
    internal const string SaveController = "save_controller";
    internal const string LoadController = "load_controller";
    internal const string SaveStorage = "save_storage";
    internal const string LoadStorage = "load_storage";

    /// <summary>Bytes of a path.</summary>
    private const int MostPathBytes = 4096;

    /// <summary>Bytes of metadata.</summary>
    private const int MostMetadataBytes = 32 << 20;

    private static readonly HeaderKeys Keys = new("action", "path", "metadata");

    /// <summary>What can be asked for.</summary>
    internal static string[] Actions { get; } = [Save, Load, SaveController, LoadController, SaveStorage, LoadStorage];

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Checkpoint;

    /// <summary>Reads the header.</summary>
    internal static CheckpointRequest Read(ref HeaderReader reader)
    {
        string? action = null, path = null, metadata = null;
        while (reader.Next(Keys) is { } key)
        {
            switch (key)
            {
                case "action":
                    action = reader.Name();
                    if (!Actions.Contains(action))
                        throw reader.Broken($"'{action}'; known are {string.Join(", ", Actions)}");
                    break;
                case "path":
                    path = reader.Text(MostPathBytes);
                    if (!path.StartsWith('/') || path.Contains('\0'))
                        throw reader.Broken("a path that is not absolute, or has a NUL");
                    break;
                default:
                    metadata = reader.Text(MostMetadataBytes);
                    break;
            }
        }
        return new CheckpointRequest(reader.Required(action, "action"), reader.Required(path, "path"), metadata);
    }

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("action", Action);
        writer.Entry("path", Path);
        writer.Entry("metadata", Metadata);
    }
}

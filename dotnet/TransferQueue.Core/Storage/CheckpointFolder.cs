using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using TransferQueue.Storage.Native;

namespace TransferQueue.Storage;

/// <summary>
/// A folder that is written beside its place and then takes it in one step: whenever the machine stops, there is the old one whole, the new one whole, or,
/// if there was no old one, nothing.
/// </summary>
/// <remarks>One thread.</remarks>
internal sealed class CheckpointFolder
{
    private const int NotSupported = 22; // EINVAL: the file system can't exchange
    private const int NoSuchCall = 38;

    /// <summary>Names that a checkpoint has and nothing else; a name that ends in a dot stands for all that begin so.</summary>
    private static readonly string[] OwnNames = ["metadata.json", "controller_state.", "simple_storage", "storage_unit_info.json", "su_"];

    private CheckpointFolder(string place, string temporary) => (Place, Temporary) = (place, temporary);

    /// <summary>Where it will be.</summary>
    public string Place { get; }

    /// <summary>Where it is written.</summary>
    public string Temporary { get; }

    /// <summary>Makes the folder to be written; what an earlier try left there goes.</summary>
    /// <param name="place">Where it will be: nothing, an empty folder or a checkpoint.</param>
    /// <exception cref="InvalidArgumentException">Something else is there.</exception>
    public static CheckpointFolder Begin(string place)
    {
        place = Resolve(Path.TrimEndingDirectorySeparator(place));
        if (File.Exists(place) || (Directory.Exists(place) && !IsOwn(place)))
            throw new InvalidArgumentException($"checkpoint: {place} is there and is no checkpoint, so it is not replaced; remove it, or name another folder");
        var folder = new CheckpointFolder(place, place + ".tmp");
        if (File.Exists(folder.Temporary) || (Directory.Exists(folder.Temporary) && !IsOwn(folder.Temporary)))
            throw new InvalidArgumentException($"checkpoint: {folder.Temporary}, where it would be written, is there and is nothing that a save left; remove it, or name another folder");
        folder.Abandon();
        Directory.CreateDirectory(folder.Temporary);
        return folder;
    }

    /// <summary>Writes a small file into a folder, and waits until the disk has it.</summary>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        RandomAccess.Write(file, content, 0);
        RandomAccess.FlushToDisk(file);
    }

    /// <summary>Opens a file of a checkpoint.</summary>
    /// <exception cref="CheckpointNotFoundException">It is not there.</exception>
    public static SafeFileHandle OpenRead(string path)
    {
        try
        {
            return File.OpenHandle(path, options: FileOptions.SequentialScan);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CheckpointNotFoundException($"checkpoint: {path} is not there; name a folder that save_checkpoint wrote");
        }
    }

    /// <summary>Takes the place, in one step; what was there before goes.</summary>
    public void Exchange()
    {
        Flush(Temporary);
        string parent = Path.GetDirectoryName(Place)!;
        bool isNew = !Directory.Exists(Place);
        int error = Rename(Temporary, Place, isNew ? LibcFiles.RENAME_NOREPLACE : LibcFiles.RENAME_EXCHANGE);
        if (error is NotSupported or NoSuchCall)
            ExchangeInSteps();
        else if (error != 0)
            throw new CheckpointException($"checkpoint: {Temporary} could not take the place of {Place}: {Marshal.GetPInvokeErrorMessage(error)}");
        Flush(parent);
        Abandon(); // now the old one
    }

    /// <summary>Removes what was written.</summary>
    public void Abandon()
    {
        if (Directory.Exists(Temporary))
            Directory.Delete(Temporary, recursive: true);
    }

    /// <summary>Waits until the disk knows what is in a folder.</summary>
    public static void Flush(string folder)
    {
        int fd = LibcFiles.open(folder, LibcFiles.O_RDONLY | LibcFiles.O_DIRECTORY | LibcFiles.O_CLOEXEC, 0);
        int result = fd < 0 ? fd : LibcFiles.fsync(fd);
        int error = Marshal.GetLastSystemError();
        if (fd >= 0)
            _ = LibcFiles.close(fd);
        if (result != 0 && error != NotSupported) // some network file systems don't know it for folders
            throw new CheckpointException($"checkpoint: the folder {folder} could not be written to the disk: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    /// <summary>For file systems without an exchange: for a moment only the folder with the ending <c>.old</c> is there.</summary>
    private void ExchangeInSteps()
    {
        string old = Place + ".old";
        if (Directory.Exists(old))
            Directory.Delete(old, recursive: true);
        if (Directory.Exists(Place))
            Directory.Move(Place, old);
        Directory.Move(Temporary, Place);
        Flush(Path.GetDirectoryName(Place)!);
        if (Directory.Exists(old))
            Directory.Delete(old, recursive: true);
    }

    private static int Rename(string from, string to, uint flags) =>
        LibcFiles.renameat2(LibcFiles.AT_FDCWD, from, LibcFiles.AT_FDCWD, to, flags) == 0 ? 0 : Marshal.GetLastSystemError();

    /// <summary>The folder behind a link: else the link itself would be exchanged.</summary>
    private static string Resolve(string place) =>
        Directory.Exists(place) ? new DirectoryInfo(place).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? place : place;

    private static bool IsOwn(string folder) => Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName)
        .All(name => Array.Exists(OwnNames, own => name == own || ((own.EndsWith('.') || own.EndsWith('_')) && name!.StartsWith(own, StringComparison.Ordinal))));
}

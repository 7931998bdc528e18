using System.Collections.Immutable;
using System.IO.Hashing;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>
/// Reads a checkpoint, or a half of one, and verifies all of it: first the heads of all files (<see cref="OpenAll"/> and its like), then, when the caller has room
/// for <see cref="ColumnBytes"/>, the columns (<see cref="ReadColumns"/>), then the state (<see cref="ReadContent"/>).
/// </summary>
/// <remarks>One worker's thread.</remarks>
internal sealed class CheckpointReader : IDisposable
{
    private readonly Action<long> _wasRead;
    private readonly List<CheckpointFileReader> _units = [];
    private readonly List<ImmutableArray<CheckpointColumn>> _columns = [];
    private CheckpointFileReader? _controller;
    private ControllerHead? _head;

    private CheckpointReader(Action<long> wasRead) => _wasRead = wasRead;

    /// <summary>The columns' names; of a whole checkpoint and of a storage half.</summary>
    public IEnumerable<ColumnName> Names => _columns.SelectMany(columns => columns).Select(column => column.Name);

    /// <summary>Bytes of each column, in the order of <see cref="Names"/>.</summary>
    public IEnumerable<long> ColumnBytes => _units.SelectMany(unit => unit.SectionBytes);

    /// <summary>Which life of which core wrote it.</summary>
    public Guid Core => (_controller ?? _units[0]).Header.Core;

    /// <summary>Bytes of all files.</summary>
    public long FileBytes => _units.Sum(unit => unit.Header.FileBytes) + (_controller?.Header.FileBytes ?? 0);

    /// <summary>Opens a whole checkpoint.</summary>
    /// <param name="folder">Where.</param>
    /// <param name="units">Storage units that it must have.</param>
    /// <param name="wasRead">Told of bytes that were read; may throw to end the work.</param>
    /// <exception cref="CheckpointNotFoundException">It, or a file of it, is not there.</exception>
    /// <exception cref="CheckpointException">A file is damaged, or it has another number of units.</exception>
    public static CheckpointReader OpenAll(string folder, int units, Action<long> wasRead) => Open(folder, wasRead, reader =>
    {
        if (!Directory.Exists(folder))
            throw new CheckpointNotFoundException($"checkpoint: the folder {folder} is not there{Old(folder)}; name one that save_checkpoint wrote");
        CheckpointFolder.OpenRead(Path.Combine(folder, CheckpointContent.MetadataFile)).Dispose();
        if (!File.Exists(Path.Combine(folder, CheckpointContent.ControllerFile)) && File.Exists(Path.Combine(folder, "controller_state.pkl")))
            throw new CheckpointException($"checkpoint {folder}: the peer's, which is pickled code; load it there and put the rows here");
        reader.OpenController(Path.Combine(folder, CheckpointContent.ControllerFile));
        reader.OpenUnits(folder, units);
        reader.CheckVouched(folder);
    });

    /// <summary>Opens a storage half.</summary>
    /// <inheritdoc cref="OpenAll"/>
    public static CheckpointReader OpenStorage(string folder, int units, Action<long> wasRead) => Open(folder, wasRead, reader => reader.OpenUnits(folder, units));

    /// <summary>Opens a controller half.</summary>
    /// <inheritdoc cref="OpenAll"/>
    public static CheckpointReader OpenController(string path, Action<long> wasRead) => Open(path, wasRead, reader => reader.OpenController(path));

    /// <summary>Reads all columns into memory.</summary>
    /// <param name="extents">Room for each, in the order of <see cref="ColumnBytes"/>.</param>
    /// <param name="storage">Where the room is.</param>
    /// <exception cref="CheckpointException">A column is damaged.</exception>
    public Dictionary<ColumnName, StoredColumn> ReadColumns(IReadOnlyList<OwnedExtent> extents, StorageManager storage)
    {
        Dictionary<ColumnName, StoredColumn> read = [];
        int next = 0;
        foreach (var (file, columns) in _units.Zip(_columns))
        {
            foreach (CheckpointColumn column in columns)
            {
                if (!read.TryAdd(column.Name, storage.Restore(file, column, extents[next++])))
                    throw file.Damaged("it has a column twice");
            }
        }
        return read;
    }

    /// <summary>Reads the state.</summary>
    /// <param name="storage">The columns; each that the state names must be there.</param>
    /// <param name="unused">Gets the columns that it doesn't name.</param>
    /// <exception cref="CheckpointException">It is damaged, or columns are missing.</exception>
    public CheckpointContent ReadContent(IReadOnlyDictionary<ColumnName, StoredColumn> storage, List<StoredColumn> unused)
    {
        List<ColumnBlock> blocks = [];
        HashSet<ColumnName> named = [];
        for (int i = 0; i < _head!.NameSections; i++)
        {
            foreach (ColumnName name in Decoded(() => ControllerHead.ReadNames(_controller!.Next().Span)))
            {
                if (!storage.TryGetValue(name, out StoredColumn? column))
                    throw new CheckpointException(
                        $"checkpoint file {_controller!.Path}: it names columns that are not in the storage half that was loaded before it ({storage.Count} columns); load the one that was saved with it: load_storage_checkpoint");
                if (!named.Add(name))
                    throw _controller!.Damaged("it names a column twice");
                blocks.Add(new ColumnBlock(column));
            }
        }
        unused.AddRange(storage.Where(column => !named.Contains(column.Key)).Select(column => column.Value));
        var image = new ImageReader(blocks);
        for (int i = _head.NameSections; i < _controller!.SectionBytes.Length; i++)
        {
            ReadOnlyMemory<byte> section = _controller.Next();
            Decoded(() =>
            {
                image.Add(section);
                return true;
            });
        }
        ControllerImage state = Decoded(image.Finish);
        if (state.Blocks().Count != blocks.Count)
            throw _controller.Damaged("it names columns that no row uses");
        return new CheckpointContent(Core, state, _head.Sampler, _head.SamplerState, _head.Forgotten);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _controller?.Dispose();
        foreach (CheckpointFileReader unit in _units)
            unit.Dispose();
    }

    private static CheckpointReader Open(string place, Action<long> wasRead, Action<CheckpointReader> open)
    {
        var reader = new CheckpointReader(wasRead);
        try
        {
            open(reader);
            return reader;
        }
        catch (Exception error)
        {
            reader.Dispose();
            if (error is IOException or UnauthorizedAccessException)
                throw new CheckpointException($"checkpoint {place}: could not be read: {error.Message}");
            throw;
        }
    }

    private static string Old(string folder) =>
        Directory.Exists(folder + ".old") ? $", but {folder}.old is: the machine stopped in the middle of an exchange on a file system that can't do it in one step; rename that" : "";

    private void OpenController(string path)
    {
        _controller = new CheckpointFileReader(path, CheckpointKind.Controller, _wasRead);
        _head = ControllerHead.Read(_controller);
    }

    private void OpenUnits(string folder, int units)
    {
        string own = Path.Combine(folder, CheckpointContent.StorageFolder);
        string[] ids = ReadList(Path.Combine(own, CheckpointContent.UnitList));
        if (ids.Length != units)
            throw new CheckpointException(
                $"checkpoint {folder}: storage unit count mismatch: it has {ids.Length} storage units, this queue {units}; start with num_data_storage_units={ids.Length}");
        for (int position = 0; position < ids.Length; position++)
        {
            var unit = new CheckpointFileReader(Path.Combine(own, $"su_{position}_{ids[position]}.tqc"), CheckpointKind.Storage, _wasRead);
            _units.Add(unit);
            if (unit.Header.Position != position || unit.Header.Core != (_controller ?? _units[0]).Header.Core)
                throw unit.Damaged("it belongs to another place or another checkpoint");
            _columns.Add(CheckpointColumn.Read(unit));
        }
    }

    private static string[] ReadList(string path)
    {
        byte[] bytes = Bytes(path);
        try
        {
            using var document = JsonDocument.Parse(bytes);
            string[] ids = [.. document.RootElement.EnumerateArray().Select(unit => unit.GetProperty("storage_unit_id").GetString() ?? "")];
            return ids.All(id => id.Length > 0 && !id.Contains('/') && !id.Contains('\0')) ? ids : throw new KeyNotFoundException("an id that can't be");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new CheckpointException($"checkpoint file {path}: it is not the list of the storage units ({error.Message}); the file is damaged");
        }
    }

    /// <summary>Holds all other files against what the controller half says of them.</summary>
    private void CheckVouched(string folder)
    {
        Dictionary<string, CheckpointFileReader> opened = _units.ToDictionary(unit => Path.GetRelativePath(folder, unit.Path));
        foreach (VouchedFile file in _head!.Files)
        {
            (long bytes, ulong hash) = opened.Remove(file.Name, out CheckpointFileReader? unit)
                ? (unit.Header.FileBytes, unit.Header.Hash)
                : Bytes(Path.Combine(folder, file.Name)) is var text ? (text.LongLength, XxHash3.HashToUInt64(text)) : default;
            if (bytes != file.Bytes || hash != file.Hash)
                throw new CheckpointException($"checkpoint file {Path.Combine(folder, file.Name)}: not the one that was saved with {_controller!.Path}; it is damaged, or files of two checkpoints were mixed");
        }
        if (opened.Count > 0 || _head.Files.IsEmpty)
            throw new CheckpointException($"checkpoint {folder}: its controller half was saved alone; load the halves with load_storage_checkpoint and load_controller_checkpoint");
    }

    private static byte[] Bytes(string path)
    {
        using SafeFileHandle file = CheckpointFolder.OpenRead(path);
        byte[] bytes = new byte[checked((int)RandomAccess.GetLength(file))];
        int read = RandomAccess.Read(file, bytes, 0);
        return read == bytes.Length ? bytes : throw new CheckpointException($"checkpoint file {path}: it changed while it was read");
    }

    private T Decoded<T>(Func<T> decode)
    {
        try
        {
            return decode();
        }
        catch (Exception error) when (error is ProtocolException or LimitExceededException)
        {
            throw _controller!.Damaged(error.Message);
        }
    }
}

using System.Collections.Immutable;
using System.IO.Hashing;
using System.Text;
using System.Text.Json;
using TransferQueue.Columns;
using TransferQueue.Control;
using TransferQueue.Storage;

namespace TransferQueue.Records;

/// <summary>Writes a checkpoint, or a half of one, from a content that was captured; the storage holds its columns meanwhile (<see cref="StorageManager.Hold"/>).</summary>
/// <remarks>One worker's thread.</remarks>
/// <param name="content">What to write.</param>
/// <param name="storage">Where the columns are.</param>
/// <param name="units">Storage units, among which the columns are divided.</param>
/// <param name="written">Told of bytes that were written; may throw to end the work.</param>
internal sealed class CheckpointWriter(CheckpointContent content, StorageManager storage, int units, Action<long> written)
{
    /// <summary>Names of columns in one section.</summary>
    private const int NamesAtOnce = 1 << 16;

    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true };

    private readonly List<ColumnBlock> _blocks = content.Image.Blocks();

    /// <summary>Bytes of all columns.</summary>
    public long ColumnBytes => _blocks.Sum(block => block.Column.Extent.Length);

    /// <summary>Writes all of it into a folder, which takes its place in one step.</summary>
    /// <param name="place">The folder.</param>
    /// <param name="metadata">The text of its metadata.json.</param>
    /// <exception cref="CheckpointException">It can't be written; what was there before still is.</exception>
    /// <exception cref="InvalidArgumentException">Something else than a checkpoint is there.</exception>
    public void WriteAll(string place, string metadata) => InFolder(place, folder =>
    {
        string storageFolder = Path.Combine(folder, CheckpointContent.StorageFolder);
        Directory.CreateDirectory(storageFolder);
        List<VouchedFile> files = [.. WriteUnits(storageFolder).Select(file => file with { Name = $"{CheckpointContent.StorageFolder}/{file.Name}" })];
        CheckpointFolder.Flush(storageFolder);
        files.Add(WriteText(folder, CheckpointContent.MetadataFile, metadata));
        WriteController(Path.Combine(folder, CheckpointContent.ControllerFile), [.. files]);
    });

    /// <summary>Writes the storage half into <c>simple_storage</c> of a folder, which takes its place in one step.</summary>
    /// <inheritdoc cref="WriteAll"/>
    public void WriteStorage(string place) => InFolder(Path.Combine(place, CheckpointContent.StorageFolder), folder => WriteUnits(folder));

    /// <summary>Writes the controller half as a file, which takes its place in one step.</summary>
    /// <inheritdoc cref="WriteAll"/>
    public void WriteController(string place)
    {
        string temporary = place + ".tmp";
        Try(place, () =>
        {
            if (Directory.Exists(place))
                throw new InvalidArgumentException($"checkpoint: {place} is a folder; name a file for the controller half");
            Directory.CreateDirectory(Path.GetDirectoryName(place)!);
            File.Delete(temporary);
            WriteController(temporary, []);
            File.Move(temporary, place, overwrite: true);
            CheckpointFolder.Flush(Path.GetDirectoryName(place)!);
        }, () => File.Delete(temporary));
    }

    private static void InFolder(string place, Action<string> write)
    {
        CheckpointFolder? folder = null;
        Try(place, () =>
        {
            Directory.CreateDirectory(Path.GetDirectoryName(place) ?? place);
            folder = CheckpointFolder.Begin(place);
            write(folder.Temporary);
            folder.Exchange();
        }, () => folder?.Abandon());
    }

    private static void Try(string place, Action write, Action abandon)
    {
        try
        {
            write();
        }
        catch (Exception error)
        {
            try
            {
                abandon();
            }
            catch (Exception second) when (second is IOException or UnauthorizedAccessException)
            {
                // The first error says more; a later save removes what is left.
            }
            if (error is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException) // .NET's word for a file that may not grow on
                throw new CheckpointException($"checkpoint {place}: could not be written, what was there before still is: {error.Message}");
            throw;
        }
    }

    private List<VouchedFile> WriteUnits(string folder)
    {
        List<VouchedFile> files = [];
        List<object> list = [];
        string life = content.Core.ToString("N")[..8];
        List<StoredColumn>[] shares = Shares();
        for (int unit = 0; unit < units; unit++)
        {
            string id = $"{life}-{unit}";
            list.Add(new { position = unit, storage_unit_id = id });
            files.Add(WriteUnit(folder, $"su_{unit}_{id}.tqc", unit, shares[unit]));
        }
        files.Add(WriteText(folder, CheckpointContent.UnitList, JsonSerializer.Serialize(list, Readable)));
        return files;
    }

    /// <summary>Each column goes to the unit that has least bytes so far.</summary>
    private List<StoredColumn>[] Shares()
    {
        List<StoredColumn>[] shares = [.. Enumerable.Range(0, units).Select(_ => new List<StoredColumn>())];
        PriorityQueue<int, long> least = new(Enumerable.Range(0, units).Select(unit => (unit, 0L)));
        foreach (ColumnBlock block in _blocks)
        {
            least.TryDequeue(out int unit, out long bytes);
            shares[unit].Add(block.Column);
            least.Enqueue(unit, bytes + block.Column.Extent.Length + 1);
        }
        return shares;
    }

    private VouchedFile WriteUnit(string folder, string name, int position, List<StoredColumn> columns)
    {
        using var file = new CheckpointFileWriter(Path.Combine(folder, name), written);
        foreach (StoredColumn column in columns)
        {
            try
            {
                storage.Save(column, file);
            }
            catch (ProtocolException error)
            {
                throw new CheckpointException($"checkpoint: {Fields(column)}: {error.Message}: the process that put it has written over it; put it again");
            }
        }
        CheckpointHeader header = file.Finish(CheckpointKind.Storage, content.Core, position, CheckpointColumn.Write(columns));
        return new VouchedFile(name, header.FileBytes, header.Hash);
    }

    private string Fields(StoredColumn column) => string.Join(", ", content.Image.Partitions.SelectMany(partition => partition.Fields
        .Where(field => Array.Exists(field.Cells, cells => ReferenceEquals(cells.Block.Column, column))).Select(field => $"partition '{partition.Name}', field '{field.Name}'")));

    private void WriteController(string path, ImmutableArray<VouchedFile> files)
    {
        using var file = new CheckpointFileWriter(path, written);
        foreach (ColumnBlock[] part in _blocks.Chunk(NamesAtOnce))
            file.Add(ControllerHead.WriteNames(Array.ConvertAll(part, block => ColumnName.Of(block.Column))));
        int names = file.Sections;
        foreach (ReadOnlyMemory<byte> section in new ImageWriter(ImageWriter.Number(_blocks)).Write(content.Image))
            file.Add(section.Span);
        var head = new ControllerHead(content.Sampler, content.SamplerState, content.Forgotten.IsDefault ? [] : content.Forgotten, files, names);
        file.Finish(CheckpointKind.Controller, content.Core, 0, head.Write());
    }

    private static VouchedFile WriteText(string folder, string name, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        CheckpointFolder.Write(Path.Combine(folder, name), bytes);
        return new VouchedFile(name, bytes.Length, XxHash3.HashToUInt64(bytes));
    }
}

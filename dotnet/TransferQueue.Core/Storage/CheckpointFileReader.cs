using System.Collections.Immutable;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using MessagePack;
using Microsoft.Win32.SafeHandles;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>Reads a checkpoint file from its first section to its last, and believes nothing that its checksum doesn't say.</summary>
/// <remarks>One thread.</remarks>
internal sealed unsafe class CheckpointFileReader : IDisposable
{
    private const int BufferBytes = 4 << 20;

    private readonly SafeFileHandle _file;
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(BufferBytes);
    private readonly ImmutableArray<long> _lengths;
    private readonly ImmutableArray<ulong> _hashes;
    private readonly Action<long> _wasRead;
    private long _position = CheckpointHeader.Bytes;
    private int _next;

    /// <summary>What of the file is in the buffer: it begins at <see cref="_bufferedFrom"/>.</summary>
    private long _bufferedFrom;
    private int _buffered;

    /// <summary>Opens a file and checks its header and its directory.</summary>
    /// <param name="path">Where.</param>
    /// <param name="kind">What it must hold.</param>
    /// <param name="wasRead">Told of bytes that were read; may throw to end the work.</param>
    /// <exception cref="CheckpointException">It is not there, damaged, of another version, or something else.</exception>
    public CheckpointFileReader(string path, CheckpointKind kind, Action<long> wasRead)
    {
        (Path, _wasRead) = (path, wasRead);
        _file = CheckpointFolder.OpenRead(path);
        try
        {
            long length = RandomAccess.GetLength(_file);
            byte[] head = new byte[Math.Min(length, CheckpointHeader.Bytes)];
            Fill(head, 0);
            Header = CheckpointHeader.Read(head, path, length, kind);
            byte[] directory = new byte[Header.DirectoryBytes];
            Fill(directory, length - directory.Length);
            if (XxHash3.HashToUInt64(directory) != Header.DirectoryHash)
                throw Damaged("its directory's checksum is wrong");
            (_lengths, _hashes, Descriptions) = ReadDirectory(directory);
            if (_lengths.Any(bytes => bytes < 0) || _lengths.Aggregate((Int128)CheckpointHeader.Bytes, (sum, bytes) => sum + bytes) != length - directory.Length)
                throw Damaged("its sections don't fill it");
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    /// <summary>Where it is.</summary>
    public string Path { get; }

    /// <summary>Its header.</summary>
    public CheckpointHeader Header { get; }

    /// <summary>What is known of its sections.</summary>
    public ReadOnlyMemory<byte> Descriptions { get; }

    /// <summary>Bytes of each section.</summary>
    public ImmutableArray<long> SectionBytes => _lengths;

    /// <summary>Reads the next section.</summary>
    /// <exception cref="CheckpointException">It is damaged.</exception>
    public ReadOnlyMemory<byte> Next()
    {
        if (_lengths[_next] > Array.MaxLength)
            throw Damaged($"section {_next} has {_lengths[_next]} bytes");
        byte[] section = GC.AllocateUninitializedArray<byte>((int)_lengths[_next]);
        fixed (byte* bytes = section)
            Next(NativeSegment.At(bytes, section.Length));
        return section;
    }

    /// <summary>Reads the next section into memory of its length.</summary>
    /// <exception cref="CheckpointException">It is damaged.</exception>
    public void Next(NativeSegment target)
    {
        XxHash3 hash = new();
        for (long done = 0; done < target.Length;)
        {
            int count = (int)Math.Min(target.Length - done, BufferBytes);
            Span<byte> part = new(target.Pointer + done, count);
            Read(part);
            hash.Append(part);
            done += count;
        }
        if (hash.GetCurrentHashAsUInt64() != _hashes[_next])
            throw Damaged($"the checksum of section {_next} is wrong");
        _next++;
    }

    /// <summary>The error of a file that is not as it was written.</summary>
    public CheckpointException Damaged(string why) => new($"checkpoint file {Path}: {why}; the file is damaged");

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void Read(Span<byte> part)
    {
        if (part.Length >= BufferBytes / 4)
        {
            Fill(part, _position);
        }
        else
        {
            if (_position < _bufferedFrom || _position + part.Length > _bufferedFrom + _buffered)
            {
                _bufferedFrom = _position;
                _buffered = (int)Math.Min(BufferBytes, Header.FileBytes - _position);
                Fill(_buffer.AsSpan(0, _buffered), _position);
            }
            _buffer.AsSpan((int)(_position - _bufferedFrom), part.Length).CopyTo(part);
        }
        _position += part.Length;
        _wasRead(part.Length);
    }

    private void Fill(Span<byte> part, long position)
    {
        while (!part.IsEmpty)
        {
            int count = RandomAccess.Read(_file, part, position);
            if (count == 0)
                throw Damaged($"it ends at byte {position}");
            part = part[count..];
            position += count;
        }
    }

    private (ImmutableArray<long> Lengths, ImmutableArray<ulong> Hashes, ReadOnlyMemory<byte> Descriptions) ReadDirectory(byte[] directory)
    {
        try
        {
            var reader = new MessagePackReader(directory);
            if (reader.ReadArrayHeader() != 3)
                throw Damaged("its directory is none");
            ImmutableArray<long> lengths = Numbers<long>(ref reader);
            ImmutableArray<ulong> hashes = Numbers<ulong>(ref reader);
            ReadOnlyMemory<byte> descriptions = reader.ReadBytes()!.Value.First;
            return lengths.Length == hashes.Length && reader.End ? (lengths, hashes, descriptions) : throw Damaged("its directory contradicts itself");
        }
        catch (Exception error) when (error is MessagePackSerializationException or EndOfStreamException or InvalidOperationException)
        {
            throw Damaged($"its directory can't be read ({error.Message})");
        }
    }

    private static ImmutableArray<T> Numbers<T>(ref MessagePackReader reader)
        where T : unmanaged => [.. MemoryMarshal.Cast<byte, T>(reader.ReadBytes()!.Value.First.Span)];
}

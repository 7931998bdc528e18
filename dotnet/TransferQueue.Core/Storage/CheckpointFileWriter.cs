using System.Buffers;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using MessagePack;
using Microsoft.Win32.SafeHandles;
using TransferQueue.Memory;

namespace TransferQueue.Storage;

/// <summary>
/// Writes a checkpoint file: a header, sections back to back, and a directory with the length and the checksum of each. What is written is what
/// was checked: bytes that a client may still write to are copied before.
/// </summary>
/// <remarks>One thread. The file is complete only behind <see cref="Finish"/>; the caller then renames it.</remarks>
internal sealed unsafe class CheckpointFileWriter : IDisposable
{
    private const int BufferBytes = 4 << 20;

    private readonly SafeFileHandle _file;
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(BufferBytes);
    private readonly XxHash3 _hash = new();
    private readonly List<long> _lengths = [];
    private readonly List<ulong> _hashes = [];
    private readonly Action<long> _written;
    private int _used;
    private long _position = CheckpointHeader.Bytes;

    /// <summary>Creates the file, which must not be there.</summary>
    /// <param name="path">Where.</param>
    /// <param name="written">Told of bytes that were written; may throw to end the work.</param>
    public CheckpointFileWriter(string path, Action<long> written)
    {
        _written = written;
        _file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
    }

    /// <summary>Sections so far.</summary>
    public int Sections => _lengths.Count;

    /// <summary>Appends a section.</summary>
    public void Add(ReadOnlySpan<byte> section)
    {
        Append(section, hashed: true);
        EndSection(section.Length);
    }

    /// <summary>Appends a section from memory that others may write to.</summary>
    public void Add(NativeSegment section)
    {
        for (long done = 0; done < section.Length;)
        {
            int count = (int)Math.Min(section.Length - done, BufferBytes - _used);
            Span<byte> copy = _buffer.AsSpan(_used, count);
            new ReadOnlySpan<byte>(section.Pointer + done, count).CopyTo(copy);
            _hash.Append(copy);
            Advance(count);
            done += count;
        }
        EndSection(section.Length);
    }

    /// <summary>Writes the directory and the header, and waits until the disk has all of it.</summary>
    /// <param name="kind">What the file holds.</param>
    /// <param name="core">Which life of the core it is of.</param>
    /// <param name="position">The storage unit's number.</param>
    /// <param name="descriptions">What is known of the sections, as its reader wants it.</param>
    /// <returns>The header.</returns>
    public CheckpointHeader Finish(CheckpointKind kind, Guid core, int position, ReadOnlyMemory<byte> descriptions)
    {
        var directory = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(directory);
        writer.WriteArrayHeader(3);
        writer.Write(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(_lengths)));
        writer.Write(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(_hashes)));
        writer.Write(descriptions.Span);
        writer.Flush();
        Append(directory.WrittenSpan, hashed: false);
        Flush();
        CheckpointHeader header = new(kind, core, position, _position, directory.WrittenCount, XxHash3.HashToUInt64(directory.WrittenSpan));
        Span<byte> bytes = stackalloc byte[CheckpointHeader.Bytes];
        header = header with { Hash = header.CopyTo(bytes) };
        RandomAccess.Write(_file, bytes, 0);
        RandomAccess.FlushToDisk(_file);
        return header;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void EndSection(long bytes)
    {
        _lengths.Add(bytes);
        _hashes.Add(_hash.GetCurrentHashAsUInt64());
        _hash.Reset();
    }

    private void Append(ReadOnlySpan<byte> bytes, bool hashed)
    {
        if (hashed)
            _hash.Append(bytes);
        while (!bytes.IsEmpty)
        {
            int count = Math.Min(bytes.Length, BufferBytes - _used);
            bytes[..count].CopyTo(_buffer.AsSpan(_used));
            Advance(count);
            bytes = bytes[count..];
        }
    }

    private void Advance(int count)
    {
        _used += count;
        if (_used == BufferBytes)
            Flush();
    }

    private void Flush()
    {
        RandomAccess.Write(_file, _buffer.AsSpan(0, _used), _position);
        _position += _used;
        _written(_used);
        _used = 0;
    }
}

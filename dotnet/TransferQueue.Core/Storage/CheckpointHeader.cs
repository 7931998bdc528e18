using System.Buffers.Binary;
using System.IO.Hashing;

namespace TransferQueue.Storage;

/// <summary>What a checkpoint file holds.</summary>
internal enum CheckpointKind
{
    /// <summary>A controller's state.</summary>
    Controller = 1,

    /// <summary>The columns of one storage unit.</summary>
    Storage = 2,
}

/// <summary>The first <see cref="Bytes"/> bytes of a checkpoint file. docs/checkpoints.md has the layout.</summary>
/// <param name="Kind">What the file holds.</param>
/// <param name="Core">Which life of which core it was written in: names of columns are of this life.</param>
/// <param name="Position">The storage unit's number; 0 for a controller.</param>
/// <param name="FileBytes">Length of the whole file.</param>
/// <param name="DirectoryBytes">Length of the directory at its end.</param>
/// <param name="DirectoryHash">The directory's checksum.</param>
/// <param name="Hash">The checksum of this header, and so of everything.</param>
internal sealed record CheckpointHeader(CheckpointKind Kind, Guid Core, int Position, long FileBytes, long DirectoryBytes, ulong DirectoryHash, ulong Hash = 0)
{
    /// <summary>Length of a header.</summary>
    public const int Bytes = 72;

    /// <summary>The version that is written, and the only one that is read.</summary>
    public const uint Version = 1;

    private const int HashedBytes = Bytes - sizeof(ulong);

    private static ReadOnlySpan<byte> Magic => "TQNCKPT\n"u8;

    /// <summary>Writes the header.</summary>
    /// <returns>Its checksum.</returns>
    public ulong CopyTo(Span<byte> bytes)
    {
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], (uint)Kind);
        Core.TryWriteBytes(bytes[16..]);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[32..], Position);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[40..], FileBytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[48..], DirectoryBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[56..], DirectoryHash);
        ulong hash = XxHash3.HashToUInt64(bytes[..HashedBytes]);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[HashedBytes..], hash);
        return hash;
    }

    /// <summary>Reads and checks a header.</summary>
    /// <param name="bytes">The first bytes of the file; fewer if it is shorter.</param>
    /// <param name="path">The file, for messages.</param>
    /// <param name="fileBytes">The file's real length.</param>
    /// <param name="kind">What it must hold.</param>
    /// <exception cref="CheckpointException">It is damaged, of another version, or something else.</exception>
    public static CheckpointHeader Read(ReadOnlySpan<byte> bytes, string path, long fileBytes, CheckpointKind kind)
    {
        if (bytes.Length < Bytes || !bytes.StartsWith(Magic))
            throw new CheckpointException($"checkpoint file {path}: {(bytes.Length < Bytes ? $"only {bytes.Length} bytes" : "it does not begin as one")}; it is cut off, damaged or no file of this kind");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        ulong hash = BinaryPrimitives.ReadUInt64LittleEndian(bytes[HashedBytes..]);
        if (XxHash3.HashToUInt64(bytes[..HashedBytes]) != hash)
            throw new CheckpointException($"checkpoint file {path}: its header's checksum is wrong; the file is damaged");
        if (version != Version)
            throw new CheckpointException($"checkpoint file {path}: version {version}; this program reads version {Version}: use the one that wrote it");
        var header = new CheckpointHeader(
            (CheckpointKind)BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]), new Guid(bytes[16..32]),
            checked((int)BinaryPrimitives.ReadInt64LittleEndian(bytes[32..])), BinaryPrimitives.ReadInt64LittleEndian(bytes[40..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[48..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[56..]), hash);
        if (header.Kind != kind)
            throw new CheckpointException($"checkpoint file {path}: it holds a {header.Kind} half, here belongs a {kind} half");
        if (header.FileBytes != fileBytes || header.DirectoryBytes < 0 || header.DirectoryBytes > fileBytes - Bytes)
            throw new CheckpointException($"checkpoint file {path}: {fileBytes} bytes, {header.FileBytes} were written; it is cut off or was added to");
        return header;
    }
}

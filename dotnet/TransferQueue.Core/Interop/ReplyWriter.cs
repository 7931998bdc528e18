using System.Collections;
using TransferQueue.Client;
using TransferQueue.Memory;
using TransferQueue.Protocol;

namespace TransferQueue.Interop;

/// <summary>Fills the reply structure; what it points to gets handles.</summary>
internal static unsafe class ReplyWriter
{
    /// <summary>Done.</summary>
    public const long Done = 0;

    /// <summary>The header is an ERROR header.</summary>
    public const long Failed = 1;

    /// <summary>Not yet.</summary>
    public const long NotYet = 2;

    /// <summary>Hands an answer over.</summary>
    /// <returns><see cref="Done"/>, or <see cref="Failed"/> for an ERROR answer.</returns>
    public static long Write(NativeReply* reply, ClientReply answer)
    {
        using (answer)
        {
            Span<long> table = answer.Table;
            for (int frame = 0; frame < answer.FrameCount; frame++)
                WriteFrame(table.Slice(3 * frame, 3), answer, frame);
            NativeSegment header = answer.Header;
            *reply = new NativeReply
            {
                Header = header.Address,
                HeaderBytes = header.Length,
                Frames = (long)answer.Head.Address,
                FrameCount = answer.FrameCount,
                Type = answer.Prelude.Type,
            };
            reply->Handle = Table.Handles.Add(answer.TakeHead());
            return answer.IsError ? Failed : Done;
        }
    }

    /// <summary>Hands a header over.</summary>
    public static long Write(NativeReply* reply, ReadOnlySpan<byte> header, ushort type = (ushort)MessageType.Ok)
    {
        var copy = new NativeHeader(header);
        *reply = new NativeReply { Header = copy.Address, HeaderBytes = header.Length, Handle = Table.Handles.Add(copy), Type = type };
        return type == (ushort)MessageType.Error ? Failed : Done;
    }

    /// <summary>Hands an error over. Never throws.</summary>
    public static long Fail(NativeReply* reply, Exception error)
    {
        if (reply is null)
            return Failed;
        try
        {
            return Write(reply, ToReply(error).ToHeader().Span, (ushort)MessageType.Error);
        }
        catch (Exception)
        {
            // Not even memory for the error: an empty map, which reads as "a fault of ours".
            *reply = new NativeReply { Header = Table.EmptyMap, HeaderBytes = 1, Type = (ushort)MessageType.Error };
            return Failed;
        }
    }

    private static ErrorReply ToReply(Exception error)
    {
        ErrorReply reply = ErrorReply.Of(error);
        var details = reply.Details.ToBuilder();
        foreach (DictionaryEntry entry in error.Data)
            if (entry is { Key: string name, Value: long or string })
                details[name] = entry.Value;
        return reply with { Details = details.ToImmutable() };
    }

    private static void WriteFrame(Span<long> row, ClientReply answer, int frame)
    {
        (row[0], row[1], row[2]) = (0, 0, 0);
        if (answer.GetFrame(frame) is not { } buffer)
            return;
        row[0] = (long)buffer.Address;
        row[1] = buffer.Length;
        row[2] = Table.Handles.Add(buffer);
        answer.TakeFrame(frame);
    }
}

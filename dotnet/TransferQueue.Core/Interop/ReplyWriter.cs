using System.Collections;
using TransferQueue.Client;
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

    private const int FrameNumbers = 3;

    /// <summary>Hands an answer over.</summary>
    /// <returns><see cref="Done"/>, or <see cref="Failed"/> for an ERROR answer.</returns>
    public static long Write(NativeReply* reply, ClientReply answer)
    {
        using (answer)
        {
            NativeBlock? table = answer.Frames.Count == 0 ? null : new NativeBlock(answer.Frames.Count * FrameNumbers * sizeof(long));
            var numbers = (long*)(table?.Address ?? 0);
            foreach (ReplyFrame frame in answer.Frames)
            {
                *numbers++ = frame.Bytes.Address;
                *numbers++ = frame.Bytes.Length;
                *numbers++ = Table.Handles.Add(frame.Owner);
            }
            *reply = new NativeReply
            {
                Header = (long)answer.Header.Address,
                HeaderBytes = answer.Header.Length,
                Frames = table?.Address ?? 0,
                FrameCount = answer.Frames.Count,
                Type = answer.Prelude.Type,
            };
            long status = answer.IsError ? Failed : Done;
            reply->Handle = Table.Handles.Add(new ReplyHead(answer.Detach(), table));
            return status;
        }
    }

    /// <summary>Hands a header over.</summary>
    public static long Write(NativeReply* reply, ReadOnlySpan<byte> header, ushort type = (ushort)MessageType.Ok)
    {
        var copy = new NativeBlock(header);
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
}

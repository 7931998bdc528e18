using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Protocol;

namespace TransferQueue.Interop;

/// <summary>Function 11 of the table: operations on packed BatchMetas.</summary>
internal static unsafe class BatchFunctions
{
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long BatchMeta(long operation, long arguments, long length, long reply)
    {
        try
        {
            ReadOnlyMemory<byte> packed = Arguments.Span(arguments, length).ToArray();
            return ReplyWriter.Write((NativeReply*)reply, BatchMetaOperations.Run(operation, packed).Span);
        }
        catch (Exception error)
        {
            return ReplyWriter.Fail((NativeReply*)reply, error);
        }
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TransferQueue.Interop;

/// <summary>Function 11 of the table: operations on packed BatchMetas.</summary>
internal static unsafe class BatchFunctions
{
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long BatchMeta(long operation, long arguments, long length, long reply)
    {
        try
        {
            throw new TransferQueueException(ErrorKind.TransferQueue, $"batch_meta: this build has no operation {operation} ({Arguments.Span(arguments, length).Length} bytes of arguments)");
        }
        catch (Exception error)
        {
            return ReplyWriter.Fail((NativeReply*)reply, error);
        }
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Client;

namespace TransferQueue.Interop;

/// <summary>Functions 17–19 of the table: room in shared memory to compute into, and what a fork needs.</summary>
internal static unsafe class MemoryFunctions
{
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Reserve(long client, long lengths, long count, long timeoutMilliseconds, long reply)
    {
        try
        {
            _ = Table.Handles.Get<ClientSession>(client);
            throw new InvalidArgumentException("reserve: the core offers no shared memory to this client");
        }
        catch (Exception error)
        {
            return ReplyWriter.Fail((NativeReply*)reply, error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long ForkPrepare() => ReplyWriter.Done;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long ForkParent() => ReplyWriter.Done;
}

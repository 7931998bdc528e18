using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Client;

namespace TransferQueue.Interop;

/// <summary>Functions 7–10 of the table: completion queues, and giving back. None waits; Python calls them with the GIL held.</summary>
internal static unsafe class QueueFunctions
{
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Open(long eventfd)
    {
        try
        {
            return Table.Handles.Add(new CompletionQueue(checked((int)eventfd)));
        }
        catch (Exception)
        {
            return 0;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Take(long queue, long tickets, long max)
    {
        try
        {
            return Table.Handles.Get<CompletionQueue>(queue).Take(new Span<long>((void*)tickets, checked((int)max)));
        }
        catch (Exception)
        {
            return 0;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Close(long queue)
    {
        try
        {
            (Table.Handles.TryTake(queue) as CompletionQueue)?.Dispose();
            return ReplyWriter.Done;
        }
        catch (Exception)
        {
            return ReplyWriter.Failed;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Release(long handle)
    {
        try
        {
            if (Table.Handles.TryTake(handle) is IDisposable value)
                Reclaimer.Add(value);
            return ReplyWriter.Done;
        }
        catch (Exception)
        {
            return ReplyWriter.Failed;
        }
    }
}

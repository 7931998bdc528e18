using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Client;

namespace TransferQueue.Interop;

/// <summary>Functions 17–19 of the table: room in shared memory to compute into, and what a fork needs. No exception leaves them.</summary>
internal static unsafe class MemoryFunctions
{
    private const int MostFrames = 4096;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Reserve(long client, long lengths, long count, long timeoutMilliseconds, long reply)
    {
        try
        {
            Reclaimer.Run();
            if (count is < 1 or > MostFrames || lengths == 0 || timeoutMilliseconds is < 0 or > uint.MaxValue)
                throw new InvalidArgumentException($"reserve: {count} lengths at address {lengths}, {timeoutMilliseconds} ms; give 1 to {MostFrames} lengths and 0 to {uint.MaxValue} ms");
            ImmutableArray<long> wanted = [.. new ReadOnlySpan<long>((void*)lengths, (int)count)];
            SteppedCall call = Table.Handles.Get<ClientSession>(client).Reserve(wanted, TimeSpan.FromMilliseconds(timeoutMilliseconds));
            return ClientFunctions.FirstStep(call, (NativeReply*)reply);
        }
        catch (Exception error)
        {
            return ReplyWriter.Fail((NativeReply*)reply, error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long ForkPrepare()
    {
        try
        {
            return ForkPins.Prepare() ? ReplyWriter.Done : ReplyWriter.Failed;
        }
        catch (Exception)
        {
            return ReplyWriter.Failed;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long ForkParent()
    {
        try
        {
            ForkPins.Finish();
            return ReplyWriter.Done;
        }
        catch (Exception)
        {
            return ReplyWriter.Failed;
        }
    }
}

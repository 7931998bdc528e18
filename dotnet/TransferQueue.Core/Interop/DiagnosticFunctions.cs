using System.Buffers;
using System.Reflection;
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MessagePack;
using TransferQueue.Client;

namespace TransferQueue.Interop;

/// <summary>Function 16 of the table: what is going on inside.</summary>
internal static unsafe class DiagnosticFunctions
{
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Diagnose(long reply)
    {
        try
        {
            return ReplyWriter.Write((NativeReply*)reply, Describe());
        }
        catch (Exception error)
        {
            return ReplyWriter.Fail((NativeReply*)reply, error);
        }
    }

    private static ReadOnlySpan<byte> Describe()
    {
        (string Name, object Value)[] entries =
        [
            ("core", typeof(Table).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? ""),
            ("dotnet", Environment.Version.ToString()),
            ("table_version", Table.Version),
            ("server_gc", GCSettings.IsServerGC ? 1L : 0L),
            ("gc_heap_limit_bytes", GC.GetGCMemoryInfo().TotalAvailableMemoryBytes),
            ("gc_heap_bytes", GC.GetTotalMemory(forceFullCollection: false)),
            ("gc_collections", (long)GC.CollectionCount(0)),
            ("handles", (long)Table.Handles.Count),
            ("pool_out_bytes", ClientMemory.Pool.OutBytes),
            ("pool_out_buffers", (long)ClientMemory.Pool.OutCount),
            ("pool_kept_bytes", ClientMemory.Pool.KeptBytes),
            ("client_requests", ClientCounters.Process.RequestsSent),
            ("frames_placed", ClientCounters.Process.FramesPlaced),
            ("frames_moved", ClientCounters.Process.FramesMoved),
            ("bytes_copied", ClientCounters.Process.BytesCopied),
            ("frames_viewed", ClientCounters.Process.FramesViewed),
            ("bytes_viewed", ClientCounters.Process.BytesViewed),
            ("frames_aliased", ClientCounters.Process.FramesAliased),
            ("leases_out", ClientCounters.Process.LeasesOut),
        ];
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        writer.WriteMapHeader(entries.Length);
        foreach ((string name, object value) in entries)
        {
            writer.Write(name);
            if (value is long number)
                writer.Write(number);
            else
                writer.Write((string)value);
        }
        writer.Flush();
        return buffer.WrittenSpan;
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Hosting;

namespace TransferQueue.Interop;

/// <summary>Functions 12–15 of the table: servers that run on threads of this process.</summary>
internal static unsafe class ServerFunctions
{
    /// <summary>Starts a core from its packed options; tests put a double here.</summary>
    internal static Func<ReadOnlyMemory<byte>, IRunningServer> StartCore { get; set; } = CoreServer.Start;

    /// <summary>Starts a gateway, likewise.</summary>
    internal static Func<ReadOnlyMemory<byte>, IRunningServer> StartGateway { get; set; } = GatewayServer.Start;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long ServeCore(long options, long length, long reply) => Serve(StartCore, options, length, (NativeReply*)reply);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long ServeGateway(long options, long length, long reply) => Serve(StartGateway, options, length, (NativeReply*)reply);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Wait(long server, long timeoutMilliseconds)
    {
        try
        {
            return Table.Handles.Get<RunningServer>(server).Server.Wait(TimeSpan.FromMilliseconds(timeoutMilliseconds)) ? 1 : 0;
        }
        catch (Exception)
        {
            return 1; // no such server: it has ended
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Stop(long server)
    {
        try
        {
            Table.Handles.Get<RunningServer>(server).Server.Stop();
            return ReplyWriter.Done;
        }
        catch (Exception)
        {
            return ReplyWriter.Failed;
        }
    }

    private static long Serve(Func<ReadOnlyMemory<byte>, IRunningServer> start, long options, long length, NativeReply* reply)
    {
        try
        {
            IRunningServer server = start(Arguments.Span(options, length).ToArray());
            long status = ReplyWriter.Write(reply, server.Answer);
            reply->Ticket = Table.Handles.Add(new RunningServer(server));
            return status;
        }
        catch (Exception error)
        {
            return ReplyWriter.Fail(reply, error);
        }
    }

    private sealed record RunningServer(IRunningServer Server);
}

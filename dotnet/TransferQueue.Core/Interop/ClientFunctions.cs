using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Client;
using TransferQueue.Protocol;

namespace TransferQueue.Interop;

/// <summary>Functions 0–6 of the table: a client and its calls. No exception leaves them; it would end the process.</summary>
internal static unsafe class ClientFunctions
{
    /// <summary>How long one call keeps Python from noticing Ctrl-C.</summary>
    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(100);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Open(long options, long length, long reply)
    {
        var answer = (NativeReply*)reply;
        ClientSession? session = null;
        try
        {
            session = new ClientSession(ClientOptions.Read(Arguments.Span(options, length)));
            ReadOnlyMemory<byte>? hello = session.Open(Slice);
            long status = hello is { } header ? ReplyWriter.Write(answer, header.Span) : ReplyWriter.NotYet;
            answer->Ticket = Table.Handles.Add(session);
            return status;
        }
        catch (Exception error)
        {
            session?.Dispose();
            return ReplyWriter.Fail(answer, error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Close(long client)
    {
        try
        {
            (Table.Handles.TryTake(client) as ClientSession)?.Dispose();
            Reclaimer.Run();
            return ReplyWriter.Done;
        }
        catch (Exception)
        {
            return ReplyWriter.Failed;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Call(long client, long type, long request, long reply)
    {
        var answer = (NativeReply*)reply;
        try
        {
            Reclaim(type);
            SteppedCall call = Table.Handles.Get<ClientSession>(client).Begin(Arguments.Request(type, request));
            return FirstStep(call, answer);
        }
        catch (Exception error)
        {
            return ReplyWriter.Fail(answer, error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Wait(long client, long ticket, long reply)
    {
        var answer = (NativeReply*)reply;
        try
        {
            Reclaimer.Run();
            if (ticket == 0)
                return Table.Handles.Get<ClientSession>(client).Open(Slice) is { } hello ? ReplyWriter.Write(answer, hello.Span) : ReplyWriter.NotYet;
            if (Table.Handles.Get<SteppedCall>(ticket).Step(Slice) is not { } done)
                return ReplyWriter.NotYet;
            Table.Handles.TryTake(ticket);
            return ReplyWriter.Write(answer, done);
        }
        catch (Exception error)
        {
            Table.Handles.TryTake(ticket);
            return ReplyWriter.Fail(answer, error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Submit(long client, long type, long request, long queue, long reply)
    {
        var answer = (NativeReply*)reply;
        long ticket = 0;
        try
        {
            Reclaim(type);
            var session = Table.Handles.Get<ClientSession>(client);
            SubmittedCall call = session.Prepare(Arguments.Request(type, request), Table.Handles.Get<CompletionQueue>(queue));
            call.Ticket = ticket = Table.Handles.Add(call);
            session.Submit(call);
            answer->Ticket = ticket;
            return ReplyWriter.Done;
        }
        catch (Exception error)
        {
            Table.Handles.TryTake(ticket);
            return ReplyWriter.Fail(answer, error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Result(long client, long ticket, long reply)
    {
        var answer = (NativeReply*)reply;
        try
        {
            _ = client; // the ticket says it all; the client may be closed by now
            var call = Table.Handles.Get<SubmittedCall>(ticket);
            ClientReply done = call.TakeReply();
            Table.Handles.TryTake(ticket);
            return ReplyWriter.Write(answer, done);
        }
        catch (Exception error)
        {
            Table.Handles.TryTake(ticket);
            return ReplyWriter.Fail(answer, error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    public static long Cancel(long client, long ticket)
    {
        try
        {
            _ = client;
            // A submitted call stays until its queue has reported it; a blocking one has nobody left who would step it.
            if (Table.Handles.TryGet(ticket) is SubmittedCall submitted)
                submitted.Cancel();
            else if (Table.Handles.TryTake(ticket) is SteppedCall stepped)
                Reclaimer.Add(stepped);
            return ReplyWriter.Done;
        }
        catch (Exception)
        {
            return ReplyWriter.Failed;
        }
    }

    /// <summary>Begins a call; if it takes longer, it gets a ticket.</summary>
    internal static long FirstStep(SteppedCall call, NativeReply* answer)
    {
        if (call.Step(Slice) is { } done)
            return ReplyWriter.Write(answer, done);
        answer->Ticket = Table.Handles.Add(call);
        return ReplyWriter.NotYet;
    }

    private static void Reclaim(long type)
    {
        Reclaimer.Run();
        if (type == (long)MessageType.Get)
            Reclaimer.RunViews();
    }
}

using System.Runtime.InteropServices;

namespace TransferQueue.Interop;

/// <summary>
/// All that Python may touch: one table of function pointers (docs/wire.md, section 5). Python gets its address by one call through
/// pythonnet and never uses pythonnet again.
/// </summary>
public static unsafe class Table
{
    /// <summary>Version of the table; another one changes what exists, additions at the end keep it.</summary>
    public const long Version = 1;

    private const int HeadNumbers = 2;

    private static readonly long Address = Create();

    /// <summary>A MessagePack map without entries, for the last resort.</summary>
    internal static long EmptyMap { get; } = CreateEmptyMap();

    /// <summary>What Python holds by number.</summary>
    internal static HandleTable Handles { get; } = new();

    /// <summary>The table's address: version, count, then the functions. It lives as long as the process.</summary>
    public static long Export() => Address;

    private static long Create()
    {
        // The order is the contract.
        long[] functions =
        [
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long>)&ClientFunctions.Open,
            (long)(delegate* unmanaged[Cdecl]<long, long>)&ClientFunctions.Close,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long, long>)&ClientFunctions.Call,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long>)&ClientFunctions.Wait,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long, long, long>)&ClientFunctions.Submit,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long>)&ClientFunctions.Result,
            (long)(delegate* unmanaged[Cdecl]<long, long, long>)&ClientFunctions.Cancel,
            (long)(delegate* unmanaged[Cdecl]<long, long>)&QueueFunctions.Open,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long>)&QueueFunctions.Take,
            (long)(delegate* unmanaged[Cdecl]<long, long>)&QueueFunctions.Close,
            (long)(delegate* unmanaged[Cdecl]<long, long>)&QueueFunctions.Release,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long, long>)&BatchFunctions.BatchMeta,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long>)&ServerFunctions.ServeCore,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long>)&ServerFunctions.ServeGateway,
            (long)(delegate* unmanaged[Cdecl]<long, long, long>)&ServerFunctions.Wait,
            (long)(delegate* unmanaged[Cdecl]<long, long>)&ServerFunctions.Stop,
            (long)(delegate* unmanaged[Cdecl]<long, long>)&DiagnosticFunctions.Diagnose,
            (long)(delegate* unmanaged[Cdecl]<long, long, long, long, long, long>)&MemoryFunctions.Reserve,
            (long)(delegate* unmanaged[Cdecl]<long>)&MemoryFunctions.ForkPrepare,
            (long)(delegate* unmanaged[Cdecl]<long>)&MemoryFunctions.ForkParent,
        ];
        var table = (long*)NativeMemory.Alloc((nuint)(HeadNumbers + functions.Length), sizeof(long));
        table[0] = Version;
        table[1] = functions.Length;
        functions.CopyTo(new Span<long>(table + HeadNumbers, functions.Length));
        return (long)table;
    }

    private static long CreateEmptyMap()
    {
        var map = (byte*)NativeMemory.Alloc(1);
        *map = 0x80;
        return (long)map;
    }
}

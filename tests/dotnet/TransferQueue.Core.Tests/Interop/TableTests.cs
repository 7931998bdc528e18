using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TransferQueue.Interop;
using Xunit;

namespace TransferQueue.Tests.Interop;

/// <summary>docs/wire.md, section 5, in numbers.</summary>
public sealed unsafe class TableTests
{
    private const int Functions = 20;

    [Fact]
    public void TheTableHasItsVersionItsCountAndNoHoles()
    {
        var table = (long*)Table.Export();
        Assert.Equal((1L, (long)Functions), (table[0], table[1]));
        var pointers = new ReadOnlySpan<long>(table + 2, Functions).ToArray();
        Assert.DoesNotContain(0L, pointers);
        Assert.Equal(Functions, pointers.Distinct().Count());
        Assert.Equal(Table.Export(), (long)table);
    }

    [Theory]
    [InlineData(typeof(NativeReply), new[] { "Header", "HeaderBytes", "Frames", "FrameCount", "Handle", "Type", "Ticket", "Reserved" })]
    [InlineData(typeof(NativeRequest), new[] { "Header", "HeaderBytes", "Segments", "SegmentCount", "TimeoutMilliseconds", "FrameCount" })]
    public void AStructureIsItsNumbersInOrder(Type structure, string[] fields)
    {
        Assert.Equal(fields.Length * sizeof(long), Marshal.SizeOf(structure));
        for (int i = 0; i < fields.Length; i++)
        {
            Assert.Equal(typeof(long), structure.GetField(fields[i])!.FieldType);
            Assert.Equal(i * sizeof(long), (int)Marshal.OffsetOf(structure, fields[i]));
        }
    }

    [Fact]
    public void NoFunctionLetsAnExceptionOutWhateverItsArguments()
    {
        var table = (long*)Table.Export() + 2;
        NativeReply reply = default;
        long at = (long)Unsafe.AsPointer(ref reply);
        foreach (long bad in new[] { 0, -1, 12345, long.MaxValue, long.MinValue })
        {
            Assert.Equal(1, ((delegate* unmanaged[Cdecl]<long, long, long, long>)table[0])(0, bad == 0 ? 1 : bad, at));
            Assert.Equal(1, ((delegate* unmanaged[Cdecl]<long, long, long, long>)table[3])(bad, bad, at));
            Assert.Equal(1, ((delegate* unmanaged[Cdecl]<long, long, long, long>)table[5])(bad, bad, at));
            Assert.Equal(0, ((delegate* unmanaged[Cdecl]<long, long, long>)table[6])(bad, bad));
            Assert.Equal(0, ((delegate* unmanaged[Cdecl]<long, long>)table[7])(bad == 0 ? -1 : bad));
            Assert.Equal(0, ((delegate* unmanaged[Cdecl]<long, long, long, long>)table[8])(bad, 0, 0));
            Assert.Equal(0, ((delegate* unmanaged[Cdecl]<long, long>)table[9])(bad));
            Assert.Equal(0, ((delegate* unmanaged[Cdecl]<long, long>)table[10])(bad));
            Assert.Equal(1, ((delegate* unmanaged[Cdecl]<long, long, long, long, long>)table[11])(bad, 0, 0, at));
            Assert.Equal(1, ((delegate* unmanaged[Cdecl]<long, long, long>)table[14])(bad, 0));
            Assert.Equal(1, ((delegate* unmanaged[Cdecl]<long, long, long, long, long, long>)table[17])(bad, 0, 0, 0, at));
        }
        Assert.Equal(101, reply.Type);
        Assert.NotEqual(0, reply.HeaderBytes);
    }

    [Fact]
    public void AnErrorIsWrittenIntoTheReplyWithItsKind()
    {
        NativeReply reply = default;
        long status = ((delegate* unmanaged[Cdecl]<long, long, long, long>)((long*)Table.Export() + 2)[3])(1, 1, (long)Unsafe.AsPointer(ref reply));
        Assert.Equal(1, status);
        var header = new ReadOnlySpan<byte>((void*)reply.Header, (int)reply.HeaderBytes).ToArray();
        var error = TransferQueue.Protocol.ErrorReply.Read(header);
        Assert.Equal(ErrorKind.InvalidArgument, error.Kind);
        Assert.NotNull(Table.Handles.TryTake(reply.Handle));
    }
}

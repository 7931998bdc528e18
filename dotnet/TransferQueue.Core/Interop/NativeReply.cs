using System.Runtime.InteropServices;

namespace TransferQueue.Interop;

/// <summary>The reply structure that Python gives (docs/wire.md, section 5): 64 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeReply
{
    /// <summary>Address of the header.</summary>
    public long Header;

    /// <summary>Its bytes.</summary>
    public long HeaderBytes;

    /// <summary>Address of address, length, handle of each frame.</summary>
    public long Frames;

    /// <summary>How many.</summary>
    public long FrameCount;

    /// <summary>What header and table lie in; 0: nothing to give back.</summary>
    public long Handle;

    /// <summary>Message type.</summary>
    public long Type;

    /// <summary>What to wait for, or a new handle.</summary>
    public long Ticket;

    /// <summary>0.</summary>
    public long Reserved;
}

/// <summary>The request structure that Python gives: 48 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeRequest
{
    /// <summary>Address of the header.</summary>
    public long Header;

    /// <summary>Its bytes.</summary>
    public long HeaderBytes;

    /// <summary>Address of address, length, frame of each segment.</summary>
    public long Segments;

    /// <summary>How many.</summary>
    public long SegmentCount;

    /// <summary>The caller's time; 0: the server's default.</summary>
    public long TimeoutMilliseconds;

    /// <summary>Payload frames.</summary>
    public long FrameCount;
}

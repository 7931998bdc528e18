using TransferQueue.Memory;

namespace TransferQueue.Client;

/// <summary>A frame of an answer: where it lies, and what gives it back.</summary>
/// <param name="Bytes">In a pooled buffer, or in shared memory.</param>
/// <param name="Owner">Disposed once the bytes aren't used any more.</param>
internal readonly record struct ReplyFrame(NativeSegment Bytes, IDisposable Owner);

namespace TransferQueue;

/// <summary>
/// The kind of an error, as it travels in an error reply: one byte, never renumbered.
/// The names equal the classes of <c>python/transferqueue/errors.py</c> without the suffix <c>Error</c>; a test compares both.
/// </summary>
public enum ErrorKind : byte
{
    /// <summary>A fault of ours: Python raises <c>TransferQueueError</c>.</summary>
    TransferQueue = 0,

    /// <summary>A value that can't be right (Python: also ValueError).</summary>
    InvalidArgument = 1,

    /// <summary>A value of a wrong type (Python: also TypeError).</summary>
    InvalidType = 2,

    /// <summary>A fetch found too few ready rows by its deadline (Python: also TimeoutError).</summary>
    NotReady = 3,

    /// <summary>A call outlived its deadline (Python: also TimeoutError).</summary>
    DeadlineExceeded = 4,

    /// <summary>A column whose dtype or kind contradicts the field's schema (Python: also ValueError).</summary>
    SchemaMismatch = 5,

    /// <summary>A row that is not there (Python: also KeyError).</summary>
    StorageKeyNotFound = 6,

    /// <summary>A batch whose rows were cleared since it was made (Python: a StorageKeyNotFoundError).</summary>
    StaleBatch = 7,

    /// <summary>No room for a column or a row (Python: also MemoryError and RuntimeError).</summary>
    StorageFull = 8,

    /// <summary>The connection to the core ended (Python: also ConnectionError).</summary>
    ConnectionLost = 9,

    /// <summary>A message that breaks the wire's rules.</summary>
    Protocol = 10,

    /// <summary>A message of another protocol version (Python: a ProtocolError).</summary>
    ProtocolVersion = 11,

    /// <summary>A message over a limit of the wire (Python: a ProtocolError).</summary>
    LimitExceeded = 12,

    /// <summary>A call in a process that was forked after .NET had started; raised in Python only.</summary>
    ForkedProcess = 13,

    /// <summary>A peer that is not who it must be (Python: also PermissionError).</summary>
    Authentication = 14,

    /// <summary>A checkpoint that can't be written or read.</summary>
    Checkpoint = 15,

    /// <summary>Nothing to attach to (Python: also RuntimeError).</summary>
    NotRunning = 16,

    /// <summary>No .NET runtime; raised in Python only (also ImportError).</summary>
    RuntimeNotFound = 17,

    /// <summary>A user's sampler raised an exception, ended its process or did not answer (Python: also RuntimeError).</summary>
    Sampler = 18,

    /// <summary>A checkpoint, or a file of it, that is not there (Python: a CheckpointError and FileNotFoundError).</summary>
    CheckpointNotFound = 19,
}

/// <summary>The base of every error that TransferQueue raises on purpose.</summary>
/// <remarks>A message says what had it, what was asked, what there is and what to do.</remarks>
public class TransferQueueException : Exception
{
    /// <summary>Makes an error of <paramref name="kind"/>.</summary>
    /// <param name="kind">What Python raises.</param>
    /// <param name="message">What had it: what was asked, what there is, what to do.</param>
    /// <param name="inner">The cause, if another exception is.</param>
    public TransferQueueException(ErrorKind kind, string message, Exception? inner = null)
        : base(message, inner) => Kind = kind;

    /// <summary>The kind, as it travels.</summary>
    public ErrorKind Kind { get; }
}

/// <summary>A value that can't be right.</summary>
public sealed class InvalidArgumentException(string message) : TransferQueueException(ErrorKind.InvalidArgument, message);

/// <summary>A value of a wrong type.</summary>
public sealed class InvalidTypeException(string message) : TransferQueueException(ErrorKind.InvalidType, message);

/// <summary>A fetch that found too few ready rows by its deadline.</summary>
public sealed class NotReadyException(string message) : TransferQueueException(ErrorKind.NotReady, message);

/// <summary>A call that outlived its deadline.</summary>
public sealed class DeadlineExceededException(string message) : TransferQueueException(ErrorKind.DeadlineExceeded, message);

/// <summary>A column that contradicts its field's schema.</summary>
public sealed class SchemaMismatchException(string message) : TransferQueueException(ErrorKind.SchemaMismatch, message);

/// <summary>A row that is not there.</summary>
public sealed class StorageKeyNotFoundException(string message) : TransferQueueException(ErrorKind.StorageKeyNotFound, message);

/// <summary>A batch whose rows were cleared since it was made.</summary>
public sealed class StaleBatchException(string message) : TransferQueueException(ErrorKind.StaleBatch, message);

/// <summary>No room for a column or a row.</summary>
public sealed class StorageFullException(string message) : TransferQueueException(ErrorKind.StorageFull, message);

/// <summary>The connection to the core ended.</summary>
public sealed class ConnectionLostException(string message, Exception? inner = null)
    : TransferQueueException(ErrorKind.ConnectionLost, message, inner);

/// <summary>A message that breaks the wire's rules.</summary>
public sealed class ProtocolException(string message) : TransferQueueException(ErrorKind.Protocol, message);

/// <summary>A message of another protocol version.</summary>
public sealed class ProtocolVersionException(string message) : TransferQueueException(ErrorKind.ProtocolVersion, message);

/// <summary>A message over a limit of the wire.</summary>
public sealed class LimitExceededException(string message) : TransferQueueException(ErrorKind.LimitExceeded, message);

/// <summary>A peer that is not who it must be.</summary>
public sealed class AuthenticationException(string message) : TransferQueueException(ErrorKind.Authentication, message);

/// <summary>A checkpoint that can't be written or read.</summary>
public sealed class CheckpointException(string message) : TransferQueueException(ErrorKind.Checkpoint, message);

/// <summary>A checkpoint, or a file of it, that is not there.</summary>
public sealed class CheckpointNotFoundException(string message) : TransferQueueException(ErrorKind.CheckpointNotFound, message);

/// <summary>A user's sampler failed; the message has its traceback.</summary>
public sealed class SamplerException(string message) : TransferQueueException(ErrorKind.Sampler, message);

/// <summary>Nothing to attach to.</summary>
public sealed class NotRunningException(string message) : TransferQueueException(ErrorKind.NotRunning, message);

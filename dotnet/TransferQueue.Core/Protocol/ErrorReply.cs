using System.Collections.Immutable;

namespace TransferQueue.Protocol;

/// <summary>The reply to a request that failed.</summary>
/// <param name="Kind">What the caller raises.</param>
/// <param name="Message">What had it: what was asked, what there is, what to do.</param>
/// <param name="Details">Numbers (long) and words (string) of the message, by name.</param>
internal sealed record ErrorReply(ErrorKind Kind, string Message, ImmutableSortedDictionary<string, object> Details) : Reply
{
    private static readonly HeaderKeys Keys = new("kind", "message", "details");

    /// <inheritdoc/>
    internal override MessageType Type => MessageType.Error;

    /// <summary>An error without details.</summary>
    internal ErrorReply(ErrorKind kind, string message)
        : this(kind, message, ImmutableSortedDictionary<string, object>.Empty.WithComparers(StringComparer.Ordinal))
    {
    }

    /// <summary>The reply for an exception: its kind and message; of another's than ours also its type, as a fault of ours.</summary>
    internal static ErrorReply Of(Exception error) => error is TransferQueueException ours
        ? new ErrorReply(ours.Kind, ours.Message)
        : new ErrorReply(ErrorKind.TransferQueue, $"a fault of the core: {error.GetType().Name}: {error.Message}");

    /// <summary>Reads the header.</summary>
    internal static ErrorReply Read(ReadOnlyMemory<byte> header)
    {
        var reader = new HeaderReader("ERROR", header, ProtocolLimits.Default);
        ErrorKind? kind = null;
        string? message = null;
        ImmutableSortedDictionary<string, object>? details = null;
        while (reader.Next(Keys) is { } key)
        {
            if (key == "kind")
                kind = (ErrorKind)reader.Integer(0, byte.MaxValue);
            else if (key == "message")
                message = reader.Text(long.MaxValue);
            else
                details = ReadDetails(reader.Map());
        }
        return new ErrorReply(reader.Required(kind, "kind"), reader.Required(message, "message"), reader.Required(details, "details"));
    }

    /// <summary>The exception to raise in this process.</summary>
    internal TransferQueueException ToException() => Kind switch
    {
        ErrorKind.InvalidArgument => new InvalidArgumentException(Message),
        ErrorKind.InvalidType => new InvalidTypeException(Message),
        ErrorKind.NotReady => new NotReadyException(Message),
        ErrorKind.DeadlineExceeded => new DeadlineExceededException(Message),
        ErrorKind.SchemaMismatch => new SchemaMismatchException(Message),
        ErrorKind.StorageKeyNotFound => new StorageKeyNotFoundException(Message),
        ErrorKind.StaleBatch => new StaleBatchException(Message),
        ErrorKind.StorageFull => new StorageFullException(Message),
        ErrorKind.ConnectionLost => new ConnectionLostException(Message),
        ErrorKind.Protocol => new ProtocolException(Message),
        ErrorKind.ProtocolVersion => new ProtocolVersionException(Message),
        ErrorKind.LimitExceeded => new LimitExceededException(Message),
        ErrorKind.Authentication => new AuthenticationException(Message),
        ErrorKind.Checkpoint => new CheckpointException(Message),
        ErrorKind.CheckpointNotFound => new CheckpointNotFoundException(Message),
        ErrorKind.Sampler => new SamplerException(Message),
        ErrorKind.NotRunning => new NotRunningException(Message),
        _ => new TransferQueueException(Kind, Message),
    };

    /// <inheritdoc/>
    private protected override void Write(ref HeaderWriter writer)
    {
        writer.Entry("kind", (int)Kind);
        writer.Entry("message", Message);
        writer.Entry("details", Details);
    }

    private static ImmutableSortedDictionary<string, object> ReadDetails(HeaderReader map)
    {
        var details = ImmutableSortedDictionary.CreateBuilder<string, object>(StringComparer.Ordinal);
        while (map.NextFree() is { } name)
        {
            if (!details.TryAdd(name, map.AtText() ? map.Text(long.MaxValue) : map.Integer()))
                throw map.Broken("appears twice");
        }
        return details.ToImmutable();
    }
}

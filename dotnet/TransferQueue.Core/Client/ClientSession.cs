using System.Collections.Immutable;
using System.Security.Cryptography;
using TransferQueue.Columns;
using TransferQueue.Protocol;

namespace TransferQueue.Client;

/// <summary>
/// One client of a core: its id, its request ids, and its connections: one for each call that blocks a thread, and one for all
/// submitted requests together.
/// </summary>
/// <remarks>Thread-safe. After <see cref="Dispose"/> every call ends with ConnectionLost.</remarks>
internal sealed class ClientSession : IDisposable
{
    /// <summary>What a core that was told no timeout takes (docs/wire.md, section 1).</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The core answers at the deadline; the client waits so much longer for that answer before it gives up itself. On a busy machine
    /// an answer can be a second late, and rows that it hands out would be consumed by nobody.
    /// </summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    private const int ClientIdBytes = 16;

    private readonly Multiplexer _multiplexer;
    private readonly Lock _gate = new();
    private SharedMemory? _memory;
    private ConnectionAttempt? _opening;
    private volatile bool _isDisposed;
    private ProtocolLimits _limits = ProtocolLimits.Default;

    /// <summary>Makes a session; nothing is connected before <see cref="Open"/>.</summary>
    public ClientSession(ClientOptions options)
    {
        Options = options;
        _multiplexer = new Multiplexer(this);
        _opening = new ConnectionAttempt(this);
    }

    /// <summary>How to reach the core.</summary>
    public ClientOptions Options { get; }

    /// <summary>Random, told in HELLO: the core keeps first answers by it.</summary>
    public byte[] ClientId { get; } = RandomNumberGenerator.GetBytes(ClientIdBytes);

    /// <summary>Ids of this client's requests.</summary>
    public RequestIds Ids { get; } = new();

    /// <summary>Connections that wait for a call.</summary>
    public ConnectionPool Idle { get; } = new();

    /// <summary>What was done so far.</summary>
    public ClientCounters Counters { get; } = new();

    /// <summary>What the core takes at most.</summary>
    public ProtocolLimits Limits => _limits;

    /// <summary>The core's shared memory; null where it is not used.</summary>
    public SharedMemory? Memory => Volatile.Read(ref _memory);

    /// <summary>Whether <see cref="Dispose"/> was called.</summary>
    public bool IsDisposed => _isDisposed;

    /// <summary>Goes on opening the first connection. One thread at a time.</summary>
    /// <returns>The header of HELLO's answer; null if it is not there yet.</returns>
    /// <exception cref="TransferQueueException">It can't be opened; the session is of no use then.</exception>
    public ReadOnlyMemory<byte>? Open(TimeSpan wait)
    {
        if (_opening is null)
            throw new InvalidArgumentException($"client of {Options.Address}: it is open already; nothing to wait for");
        if (_opening.Step(wait) is not { } connection)
            return null;
        Idle.Return(connection);
        ReadOnlyMemory<byte> hello = _opening.Hello;
        _limits = HelloReply.Read(hello).Limits;
        _opening.Dispose();
        _opening = null;
        return hello;
    }

    /// <summary>Begins a call that the calling thread will step through to its end.</summary>
    public SteppedCall Begin(ClientRequest request)
    {
        Check(request);
        return request.LargestFrameBytes >= FramePlace.SmallestBytes && Memory is { } memory
            ? new PlacedPut(this, memory, request)
            : new BlockingCall(this, request);
    }

    /// <summary>Begins to ask for room in shared memory.</summary>
    /// <param name="lengths">Bytes of each frame, at least 64 KiB.</param>
    /// <param name="timeout">How long to wait for room; zero: the server's default.</param>
    /// <exception cref="InvalidArgumentException">Shared memory is not used, or a length is too small.</exception>
    public SteppedCall Reserve(ImmutableArray<long> lengths, TimeSpan timeout)
    {
        if (_isDisposed)
            throw ClosedHere();
        if (Memory is not { } memory)
            throw new InvalidArgumentException($"core at {Options.Address}: room in shared memory asked, there is none; it needs a core on this host and TRANSFERQUEUE_SHARED_MEMORY other than 0");
        foreach (long length in lengths)
            if (length < FramePlace.SmallestBytes)
                throw new InvalidArgumentException($"room in shared memory: {length} bytes asked, the least is {FramePlace.SmallestBytes}; put smaller columns from memory of your own");
        return new ReserveCall(this, memory, lengths, timeout);
    }

    /// <summary>Begins a request whose answer a queue will report; never waits for the core.</summary>
    /// <param name="call">With its ticket; from <see cref="Prepare"/>.</param>
    public void Submit(SubmittedCall call)
    {
        if (call is MultiplexedCall small)
            _multiplexer.Submit(small);
        else
            ((PooledCall)call).Start();
    }

    /// <summary>Makes a request that is not sent yet. A small one is copied; a large one, or one that may be on loan, uses the caller's memory until it is completed.</summary>
    public SubmittedCall Prepare(ClientRequest request, CompletionQueue queue)
    {
        Check(request);
        bool mayUseLoans = request.LargestFrameBytes >= FramePlace.SmallestBytes && Memory is { Loans.IsEmpty: false };
        return request.PayloadBytes + request.Header.Length <= Multiplexer.MostBytes && !mayUseLoans
            ? new MultiplexedCall(this, request, queue)
            : new PooledCall(this, request, queue);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
        }
        _multiplexer.Dispose();
        Interlocked.Exchange(ref _opening, null)?.Dispose();
        if (Memory is not { } memory)
        {
            Idle.Dispose();
            return;
        }
        // Views live on. One connection stays for what is given back later.
        Idle.KeepOne();
        memory.Retire(isGone: false);
        memory.Sender.Wake();
    }

    /// <summary>After <see cref="Dispose"/>: ends the last connection once nothing is left to give back.</summary>
    internal void EndLinger()
    {
        if (_isDisposed && Memory is { Leases.IsEmpty: true })
            Idle.Dispose();
    }

    /// <summary>Says whose shared memory a new connection is to use, if any.</summary>
    internal SharedMemory? Greet(HelloReply hello)
    {
        if (!hello.Shared || !Options.SharedMemory || !Options.Address.IsUnix)
            return null;
        lock (_gate)
        {
            if (_memory?.Epoch == hello.Epoch || _isDisposed)
                return _memory;
            _memory?.Retire(isGone: true);
            Volatile.Write(ref _memory, new SharedMemory(this, hello.Epoch));
            return _memory;
        }
    }

    /// <summary>The error of calls after, or at, <see cref="Dispose"/>.</summary>
    internal ConnectionLostException ClosedHere() => new($"core at {Options.Address}: the connection was closed here; open a new one");

    private void Check(ClientRequest request)
    {
        if (_isDisposed)
            throw ClosedHere();
        _limits.CheckSizes(request.Header.Length, request.FrameLengths);
    }
}

namespace TransferQueue.Records;

/// <summary>The answer to a request, as it went out: type and header; a request with an effect has no frames in its answer.</summary>
/// <param name="Type">The reply's message type.</param>
/// <param name="Header">The reply's header.</param>
internal sealed record RememberedAnswer(ushort Type, ReadOnlyMemory<byte> Header);

/// <summary>What is to be done with a request that has an effect.</summary>
internal enum RequestState
{
    /// <summary>It is new: carry it out.</summary>
    New,

    /// <summary>It is being carried out: the answer goes to whom asked last.</summary>
    Running,

    /// <summary>It was carried out: send the first answer again.</summary>
    Answered,
}

/// <summary>
/// The answers to requests that had an effect, per client, until it says that it has them: so that a request which is sent again
/// after a lost connection gets its first answer and has one effect.
/// </summary>
/// <remarks>
/// Per client at most <see cref="RequestMemoryOptions.Answers"/> answers of together
/// <see cref="RequestMemoryOptions.AnswerBytes"/>, the oldest go first; clients without a connection are forgotten, the longest
/// gone first, above <see cref="RequestMemoryOptions.AbsentClients"/>. Writer thread only.
/// </remarks>
internal sealed class RequestMemory(RequestMemoryOptions? options = null)
{
    private readonly RequestMemoryOptions _options = options ?? new();
    private readonly Dictionary<Guid, Client> _clients = [];

    /// <summary>Clients without a connection, the longest gone first.</summary>
    private readonly LinkedList<Client> _absent = [];

    /// <summary>Clients that are remembered.</summary>
    public int ClientCount => _clients.Count;

    /// <summary>Answers that are kept, of all clients.</summary>
    public int AnswerCount => _clients.Values.Sum(client => client.Answers.Count);

    /// <summary>A connection of a client begins.</summary>
    public void Connect(Guid client)
    {
        if (!_clients.TryGetValue(client, out Client? known))
            _clients.Add(client, known = new Client(client));
        if (known.Absent is { } node)
            _absent.Remove(node);
        known.Absent = null;
        known.Connections++;
    }

    /// <summary>A connection of a client has ended.</summary>
    public void Disconnect(Guid client)
    {
        if (!_clients.TryGetValue(client, out Client? known) || --known.Connections > 0)
            return;
        known.Absent = _absent.AddLast(known);
        while (_absent.Count > _options.AbsentClients)
        {
            _clients.Remove(_absent.First!.Value.Id);
            _absent.RemoveFirst();
        }
    }

    /// <summary>A request with an effect has come.</summary>
    /// <param name="client">A client with a connection.</param>
    /// <param name="request">Its request id, &gt; 0.</param>
    /// <param name="acknowledged">It has the answers to all its requests with a smaller id: they are forgotten.</param>
    /// <param name="answer">The first answer, if it was answered.</param>
    /// <exception cref="ProtocolException">The request was carried out so long ago that its answer was forgotten.</exception>
    public RequestState Begin(Guid client, ulong request, ulong acknowledged, out RememberedAnswer? answer)
    {
        Client known = _clients.GetValueOrDefault(client) ?? throw new InvalidOperationException("request memory: a request of a client without connection");
        known.Forget(acknowledged);
        if (known.Answers.TryGetValue(request, out answer))
            return RequestState.Answered;
        if (known.Running.Contains(request))
            return RequestState.Running;
        if (request < known.Floor || known.IsForgotten(request))
            throw new ProtocolException(
                $"request {request}: it was carried out, but its answer is not kept any more; the client has acknowledged all below {known.Floor}, and "
                + $"{_options.Answers} further answers or {_options.AnswerBytes} bytes are kept: send fewer requests at once");
        known.Running.Add(request);
        return RequestState.New;
    }

    /// <summary>Keeps the answer to a request that <see cref="Begin"/> called new.</summary>
    public void Finish(Guid client, ulong request, RememberedAnswer answer)
    {
        if (!_clients.TryGetValue(client, out Client? known) || !known.Running.Remove(request))
            return;
        known.Add(request, answer);
        while (known.Answers.Count > _options.Answers || known.Bytes > _options.AnswerBytes)
            known.Evict();
    }

    /// <summary>A request that <see cref="Begin"/> called new had no effect and has no answer to keep: it may come again as new.</summary>
    public void Drop(Guid client, ulong request)
    {
        if (_clients.TryGetValue(client, out Client? known))
            known.Running.Remove(request);
    }

    private sealed class Client(Guid id)
    {
        public Guid Id { get; } = id;

        /// <summary>Connections that are open.</summary>
        public int Connections { get; set; }

        /// <summary>Where it stands among the absent; null while it has a connection.</summary>
        public LinkedListNode<Client>? Absent { get; set; }

        /// <summary>Requests that are being carried out.</summary>
        public HashSet<ulong> Running { get; } = [];

        /// <summary>Answers by request id.</summary>
        public Dictionary<ulong, RememberedAnswer> Answers { get; } = [];

        /// <summary>The ids of the answers, the smallest first.</summary>
        private readonly PriorityQueue<ulong, ulong> _ids = new();

        /// <summary>Bytes of the answers.</summary>
        public long Bytes { get; private set; }

        /// <summary>The client has the answers to all smaller ids.</summary>
        public ulong Floor { get; private set; }

        /// <summary>
        /// Requests above the floor that were carried out and whose answers had to go. Each is remembered, since ids of several
        /// connections arrive in any order: a smaller id than a forgotten one may still be new.
        /// </summary>
        private readonly RequestRanges _forgotten = new();

        /// <summary>Whether the request was carried out and its answer had to go.</summary>
        public bool IsForgotten(ulong request) => _forgotten.Contains(request);

        /// <summary>Lets the oldest answer go.</summary>
        public void Evict()
        {
            ulong oldest = _ids.Peek();
            RemoveOldest();
            _forgotten.Add(oldest);
        }

        public void Add(ulong request, RememberedAnswer answer)
        {
            Answers.Add(request, answer);
            _ids.Enqueue(request, request);
            Bytes += answer.Header.Length;
        }

        public void Forget(ulong below)
        {
            while (_ids.TryPeek(out ulong oldest, out _) && oldest < below)
                RemoveOldest();
            if (below <= Floor)
                return;
            Floor = below;
            _forgotten.RemoveBelow(below);
        }

        private void RemoveOldest()
        {
            if (Answers.Remove(_ids.Dequeue(), out RememberedAnswer? answer))
                Bytes -= answer.Header.Length;
        }
    }
}

/// <summary>How much a <see cref="RequestMemory"/> keeps. Immutable.</summary>
internal sealed record RequestMemoryOptions
{
    /// <summary>Answers per client. Default 256.</summary>
    public int Answers { get; init; } = 256;

    /// <summary>Bytes of answers per client. Default 1 MiB.</summary>
    public long AnswerBytes { get; init; } = 1 << 20;

    /// <summary>Clients without a connection. Default 4096.</summary>
    public int AbsentClients { get; init; } = 4096;
}

using System.Runtime.InteropServices;
using System.Security.Cryptography;
using TransferQueue.Control;
using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <content>
/// The sampler's process, which runs a user's code: it asks for a question (SAMPLER_TURN), which waits here until there is one, and
/// brings the answer with its next turn. One question is out at a time.
/// </content>
internal sealed partial class CoreHandler
{
    /// <summary>What the process has beyond the sampler's time to end itself and say where it was.</summary>
    private const long GraceMilliseconds = 2000;

    /// <summary>Partitions that were cleared and that the sampler doesn't know of yet.</summary>
    private readonly Queue<string> _forgotten = new();

    /// <summary>The process's connection; null: it is not here.</summary>
    private ServerConnection? _sampler;

    /// <summary>The turn that waits for a question; 0: none waits.</summary>
    private ulong _turn;

    /// <summary>Questions so far; the last one's number.</summary>
    private long _question;

    /// <summary>When the question that is out must be answered; long.MaxValue: none is out.</summary>
    private long _questionDeadline = long.MaxValue;

    private void FetchFromHost(Call call, FetchQuery query, long deadline, bool waits)
    {
        _controller.Check(query);
        _waiting.Add(call, _machine.Park(query, deadline, call, waits));
        AnswerWoken();
    }

    private void TakeTurn(ServerConnection connection, ulong requestId, SamplerTurnRequest turn)
    {
        if (_machine.IsFrozen)
        {
            _heldEnds.Enqueue(() => TakeTurn(connection, requestId, turn));
            return;
        }
        if (connection.IsGone)
            return;
        if (!_controller.IsSamplerHosted)
            throw new InvalidArgumentException($"core: SAMPLER_TURN, but the sampler {_controller.SamplerName} is the core's own");
        if (_options.SamplerToken.IsEmpty || !CryptographicOperations.FixedTimeEquals(turn.Token.Span, _options.SamplerToken.AsSpan()))
            throw new AuthenticationException("core: SAMPLER_TURN without the job's token; only the sidecar's own process may take it");
        if (_sampler != connection)
        {
            // Another process takes over: the one before has ended, or is about to.
            if (_sampler is not null)
                SamplerGone(_sampler);
            _sampler = connection;
            _forgotten.Clear();
        }
        else if (turn.Number == _question && _questionDeadline != long.MaxValue)
        {
            _questionDeadline = long.MaxValue;
            if (turn.Error is { } error)
                _machine.FailQuestion(new SamplerException($"sampler {_controller.SamplerName}: {error}"));
            else
                _machine.Answer(turn.Sampled.IsDefault ? [] : turn.Sampled, turn.Consumed.IsDefault ? [] : turn.Consumed);
        }
        else
            TakeWish(turn);
        _turn = requestId;
        AnswerWoken();
    }

    /// <summary>Sends the process what there is for it, if it waits.</summary>
    private void AskSampler()
    {
        if (_sampler is not { } sampler || _turn == 0 || _machine.IsFrozen)
            return;
        if (_forgotten.TryDequeue(out string? partition))
            SendTurn(sampler, new SamplerTurnReply(++_question, partition, null, 0, [], null));
        else if (TrySendWish(sampler) || _wish is not null || _isSamplerPaused)
            return;
        else if (_questionDeadline == long.MaxValue && _machine.TryAsk(out SampleQuestion? question))
        {
            _questionDeadline = Environment.TickCount64 + (long)_options.SamplerTimeout.TotalMilliseconds + GraceMilliseconds;
            FetchQuery query = question.Query;
            SendTurn(sampler, new SamplerTurnReply(
                ++_question, query.Partition, query.Task, query.BatchSize, ImmutableCollectionsMarshal.AsImmutableArray(question.Offered), query.Sampling));
        }
    }

    private void SendTurn(ServerConnection sampler, SamplerTurnReply reply)
    {
        ulong turn = _turn;
        _turn = 0;
        Send(sampler, turn, reply);
    }

    private void ForgetSamples(string partition)
    {
        if (_sampler is not null)
            _forgotten.Enqueue(partition);
    }

    /// <summary>The process has ended, or its connection has: who waits for its answer is told, with its last words.</summary>
    private void SamplerGone(ServerConnection connection)
    {
        if (_sampler != connection)
            return;
        (_sampler, _turn) = (null, 0);
        _forgotten.Clear();
        FailWish();
        if (_questionDeadline == long.MaxValue)
            return;
        long question = _question;
        string words = "";
        Loop.RunOnWorker(() => words = LastWords(), _ =>
        {
            // The deadline may have come in between.
            if (_questionDeadline == long.MaxValue || question != _question)
                return;
            _questionDeadline = long.MaxValue;
            string why = words.StartsWith("Timeout (", StringComparison.Ordinal)
                ? $"no answer for {_options.SamplerTimeout.TotalSeconds:0.###} s (transferqueue.sampler_timeout_s), so its process was ended"
                : "its process ended while it picked rows";
            string where = words.Length == 0 ? "It left no traceback" : $"Where it was:\n{words}";
            _machine.FailQuestion(new SamplerException($"sampler {_controller.SamplerName}: {why}; it starts again, without what it remembered. {where}"));
            AnswerWoken();
        });
    }

    private long ExpireQuestion(long now)
    {
        if (_questionDeadline > now)
            return _questionDeadline;
        _questionDeadline = long.MaxValue;
        _machine.FailQuestion(new SamplerException(
            $"sampler {_controller.SamplerName}: no answer for {_options.SamplerTimeout.TotalSeconds:0.###} s (transferqueue.sampler_timeout_s), and its process did not end"));
        // It may hang for ever; another one takes over.
        _sampler?.CloseAfterFlush("the sampler did not answer in time");
        AnswerWoken();
        return _questionDeadline;
    }

    /// <summary>What the process wrote when it crashed or took too long. On a worker.</summary>
    private string LastWords()
    {
        if (_options.SamplerTrace.Length == 0 || !File.Exists(_options.SamplerTrace))
            return "";
        using StreamReader reader = new(_options.SamplerTrace);
        char[] text = new char[SamplerTurnRequest.MostErrorBytes / 4];
        return new string(text, 0, reader.ReadBlock(text)).TrimEnd();
    }
}

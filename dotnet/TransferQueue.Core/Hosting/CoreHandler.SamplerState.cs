using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <content>What a user's own sampler remembers goes into a checkpoint and comes back: its process is asked for it between two questions.</content>
internal sealed partial class CoreHandler
{
    /// <summary>The wish to save or load what the sampler remembers. Loop thread only.</summary>
    private sealed class StateWish(string action, ReadOnlyMemory<byte>? state, long deadline, Action<ReadOnlyMemory<byte>?, Exception?> end)
    {
        /// <summary>What is asked for.</summary>
        public string Action => action;

        /// <summary>What to remember.</summary>
        public ReadOnlyMemory<byte>? State => state;

        /// <summary>When it is given up.</summary>
        public long Deadline => deadline;

        /// <summary>Called once.</summary>
        public Action<ReadOnlyMemory<byte>?, Exception?> End => end;

        /// <summary>The number under which it was sent; 0: not yet.</summary>
        public long Number { get; set; }
    }

    private StateWish? _wish;

    /// <summary>Whether the sampler is asked nothing, since a loaded state waits for its sampler, or the sampler for its state.</summary>
    private bool _isSamplerPaused;

    /// <summary>Asks for what the sampler remembers and freezes the state in the moment of the answer, so that both belong together.</summary>
    private void FreezeWithSampler(bool hasSampler, Action<(ReadOnlyMemory<byte>?, string[]), Exception?> end)
    {
        if (!hasSampler || !_controller.IsSamplerHosted)
        {
            Freeze();
            end((null, []), null);
            return;
        }
        Wish(SamplerTurnReply.Save, null, (state, error) =>
        {
            if (error is null)
                Freeze();
            end((state, [.. _forgotten]), error);
        });
    }

    /// <summary>Gives the sampler a state; it is asked nothing from the moment on in which it has it, until <see cref="ResumeSampler"/>.</summary>
    private void LoadSampler(ReadOnlyMemory<byte> state, Action<bool, Exception?> end) => Wish(SamplerTurnReply.Load, state, (_, error) =>
    {
        _isSamplerPaused = error is null;
        end(true, error);
    });

    private void ResumeSampler()
    {
        _isSamplerPaused = false;
        AnswerWoken();
    }

    private void TellForgotten(string[] partitions)
    {
        _forgotten.Clear();
        foreach (string partition in partitions)
            ForgetSamples(partition);
    }

    private void Wish(string action, ReadOnlyMemory<byte>? state, Action<ReadOnlyMemory<byte>?, Exception?> end)
    {
        long patience = 2 * ((long)_options.SamplerTimeout.TotalMilliseconds + GraceMilliseconds); // a question may be out
        _wish = new StateWish(action, state, Environment.TickCount64 + patience, end);
        AnswerWoken();
    }

    private bool TrySendWish(ServerConnection sampler)
    {
        if (_wish is not { Number: 0 } wish || _questionDeadline != long.MaxValue)
            return false;
        wish.Number = ++_question;
        SendTurn(sampler, new SamplerTurnReply(wish.Number, "", null, 0, [], null) { Action = wish.Action, State = wish.State });
        return true;
    }

    /// <summary>Takes the answer to a wish.</summary>
    private void TakeWish(SamplerTurnRequest turn)
    {
        if (_wish is not { Number: > 0 } wish || wish.Number != turn.Number)
            return;
        EndWish(turn.State?.ToArray(), turn.Error is { } error ? new SamplerException($"sampler {_controller.SamplerName}: its state could not be {Done(wish)}: {error}") : null);
    }

    private void EndWish(byte[]? state, Exception? error)
    {
        if (_wish is not { } wish)
            return;
        _wish = null;
        ReadOnlyMemory<byte>? answer = state is null ? default(ReadOnlyMemory<byte>?) : state;
        wish.End(answer, error);
    }

    /// <summary>The sampler's process has gone with what it remembered.</summary>
    private void FailWish()
    {
        if (_wish is { Number: > 0 } wish)
            EndWish(null, new SamplerException($"sampler {_controller.SamplerName}: its process ended before its state was {Done(wish)}: it crashed, and starts again without what it remembered, or another one was registered; save or load again"));
    }

    private long ExpireWish(long now)
    {
        if (_wish is not { } wish || wish.Deadline > now)
            return _wish?.Deadline ?? long.MaxValue;
        EndWish(null, new SamplerException($"sampler {_controller.SamplerName}: its process did not answer in time, so its state was not {Done(wish)}"));
        return long.MaxValue;
    }

    private static string Done(StateWish wish) => wish.Action == SamplerTurnReply.Save ? "saved" : "loaded";
}

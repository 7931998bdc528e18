using TransferQueue.Protocol;
using TransferQueue.Transport;

namespace TransferQueue.Hosting;

/// <content>
/// While the state is copied for a checkpoint, nothing may change: requests with an effect wait, in their order, for the milliseconds that it takes.
/// All others are answered.
/// </content>
internal sealed partial class CoreHandler
{
    /// <summary>A request that came while nothing may change.</summary>
    private sealed record HeldRequest(ServerConnection Connection, Prelude Prelude, Request Request, long[] Lengths, ulong[] Places);

    private readonly Queue<HeldRequest> _held = new();

    /// <summary>Ends of puts whose columns have come meanwhile, and answers of the sampler.</summary>
    private readonly Queue<Action> _heldEnds = new();

    /// <summary>From now on nothing changes, and nothing that is stored now is freed.</summary>
    private void Freeze()
    {
        _machine.IsFrozen = true;
        _storage.Hold();
    }

    /// <summary>Changes go on, first those that had to wait.</summary>
    private void Unfreeze()
    {
        _machine.IsFrozen = false;
        while (_heldEnds.TryDequeue(out Action? end))
            end();
        while (_held.TryDequeue(out HeldRequest? held))
        {
            if (!held.Connection.IsGone)
                Loop.Continue(held.Connection, Resumed(held));
        }
        AnswerWoken();
    }

    private ReceivePlan Resumed(HeldRequest held)
    {
        try
        {
            return Dispatch(held.Connection, (ClientSession)held.Connection.State!, held.Prelude, held.Request, held.Lengths, held.Places);
        }
#pragma warning disable CA1031 // whatever goes wrong with one request is its caller's answer, and nobody else's
        catch (Exception error)
#pragma warning restore CA1031
        {
            FreeLoaned((ClientSession)held.Connection.State!, Array.ConvertAll(held.Lengths, length => (ulong)length), held.Places);
            return Refuse(held.Connection, held.Prelude, error);
        }
    }

    private ReceivePlan HoldBack(ServerConnection connection, in Prelude prelude, Request request, long[] lengths, ReadOnlySpan<ulong> places)
    {
        _held.Enqueue(new HeldRequest(connection, prelude, request, lengths, places.ToArray()));
        return ReceivePlan.Wait;
    }
}

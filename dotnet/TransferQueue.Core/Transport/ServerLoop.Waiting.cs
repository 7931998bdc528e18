namespace TransferQueue.Transport;

/// <summary>Payloads that wait for their plan.</summary>
internal sealed partial class ServerLoop
{
    /// <summary>
    /// Gives a payload that was to wait (<see cref="ReceivePlan.Wait"/>) its plan, of any kind; the connection reads on soon after this call, never inside it.
    /// If the connection has ended meanwhile, a plan of kind Into comes back through <see cref="IServerHandler.PayloadLost"/>, also soon after. On the loop's thread.
    /// </summary>
    /// <exception cref="InvalidOperationException">Nothing waits there, or it has a plan already.</exception>
    public void Continue(ServerConnection connection, ReceivePlan plan)
    {
        if (!connection.IsWaiting || connection.Continuation is not null)
            throw new InvalidOperationException("no payload of this connection waits for a plan");
        if (plan.Kind == ReceivePlanKind.Wait)
            return;
        if (connection.IsGone)
        {
            connection.IsWaiting = false;
            Post(() => ReportLost(connection, plan));
            return;
        }
        connection.Continuation = plan; // burying it reports this one as lost
        MarkReady(connection);
    }

    /// <summary>Takes up a payload where it was left.</summary>
    private void Resume(ServerConnection connection)
    {
        if (connection.IsEnded || connection.IsClosing)
            return;
        ReceivePlan plan = connection.Continuation!;
        connection.Continuation = null;
        connection.IsWaiting = false;
        BeginPayload(connection, plan, connection.PayloadLeft);
        Feed(connection, connection.HeldBack);
        if (!connection.IsWaiting)
            connection.DropHeldBack();
    }

    /// <summary>A payload that waits is not read, so that its sender has gone shows in another way.</summary>
    private void EndIfNobodyWaits(ServerConnection connection)
    {
        if (connection.IsWaiting && connection.HasHungUp)
            End(connection, "closed by its peer while a payload had to wait");
    }

    private void ReportLost(ServerConnection connection, ReceivePlan plan)
    {
        if (plan.Kind == ReceivePlanKind.Into)
            Guard(null, () => _handler.PayloadLost(connection, plan));
    }
}

using Harbour.Foundation;

namespace Harbour.Sandbox;

/// <summary>Has an advance of the clock wait for the events that the pump is sending, so that what they bring about happens at its own time.</summary>
internal sealed class OutboxDrain(OutboxPump pump) : DueSource
{
    public override string Name => "outbox";

    /// <summary>Each time another moment, so that new events are never taken for ones that got nowhere.</summary>
    public override ValueTask<DateTimeOffset?> NextDueAsync(CancellationToken cancellation) =>
        new(pump.Pending > 0 ? DateTimeOffset.UnixEpoch.AddTicks(pump.Offered) : null);

    public override Task RunDueAsync(DateTimeOffset now, CancellationToken cancellation) => pump.WhenIdleAsync().WaitAsync(cancellation);
}

namespace Harbour.Sandbox;

/// <summary>
/// Something that holds work which falls due at moments of its own: durable timers, scheduled messages, looks of the janitor.
/// The timeline asks when the next is due, and has it run at that moment, whether real time or an advance brings it about.
/// Register each as a singleton <c>DueSource</c>; they are asked often, so an answer comes from memory.
/// </summary>
public abstract class DueSource
{
    internal event Action? Changed;

    /// <summary>For the log, and to order sources that are due at one moment.</summary>
    public abstract string Name { get; }

    /// <summary>The earliest moment at which there is work, past ones included; null where there is none.</summary>
    public abstract ValueTask<DateTimeOffset?> NextDueAsync(CancellationToken cancellation);

    /// <summary>
    /// Called when an advance begins, and some times a second while it goes on: where another host may have left work, now is the time
    /// to find it.
    /// </summary>
    public virtual Task LookForNewsAsync(CancellationToken cancellation) => Task.CompletedTask;

    /// <summary>
    /// Runs all that is due at <paramref name="now"/> and returns when it is done. Afterwards the next due moment must be
    /// another one; a source that keeps naming the same is put off, since it would be run for ever.
    /// </summary>
    public abstract Task RunDueAsync(DateTimeOffset now, CancellationToken cancellation);

    /// <summary>To be called when the next due moment may have come nearer, so that the timeline asks again.</summary>
    protected void NotifyChanged() => Changed?.Invoke();
}

namespace Harbour.Sandbox;

/// <summary>
/// The sandbox's clock: real time plus an offset that only grows. It never goes back, whatever the machine's own clock does,
/// because a ledger that is cut by time may not see the same moment twice. The monotonic side (timestamps, timers, and so
/// deadlines and delays) stays real: moving the date must not make a provider call time out.
/// </summary>
public sealed class MovableClock(TimeProvider real) : TimeProvider
{
    private long _offset;
    private long _latest;

    public override long TimestampFrequency => real.TimestampFrequency;

    /// <summary>The moment it is in the sandbox.</summary>
    public override DateTimeOffset GetUtcNow()
    {
        while (true)
        {
            var latest = Volatile.Read(ref _latest);
            var now = real.GetUtcNow().UtcTicks + Volatile.Read(ref _offset);
            if (now <= latest) return new DateTimeOffset(latest, TimeSpan.Zero);
            if (Interlocked.CompareExchange(ref _latest, now, latest) == latest) return new DateTimeOffset(now, TimeSpan.Zero);
        }
    }

    public override long GetTimestamp() => real.GetTimestamp();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        real.CreateTimer(callback, state, dueTime, period);

    /// <summary>The offset that would make it <paramref name="moment"/> now; what has to be written down before <see cref="Set"/>.</summary>
    internal ClockPosition PositionAt(DateTimeOffset moment) => new(moment.UtcTicks - real.GetUtcNow().UtcTicks, moment.UtcTicks);

    /// <summary>Takes a position; one that lies before the present one changes nothing.</summary>
    internal void Set(ClockPosition position)
    {
        if (position.Offset > Volatile.Read(ref _offset)) Volatile.Write(ref _offset, position.Offset);
        long latest;
        while ((latest = Volatile.Read(ref _latest)) < position.Floor && Interlocked.CompareExchange(ref _latest, position.Floor, latest) != latest)
        {
            // Somebody read the clock in between and moved the mark; look again.
        }
    }
}

/// <summary>Where the clock stands, in ticks: ahead of real time by <paramref name="Offset"/>, and at <paramref name="Floor"/> or later.</summary>
internal readonly record struct ClockPosition(long Offset, long Floor);

using Harbour.Sandbox.Runtime;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox;

/// <summary>
/// Runs what falls due: by itself as real time passes, and in order while the clock is advanced.
/// <para>
/// An advance goes from stop to stop. A stop is a due moment of a <see cref="DueSource"/>, a Hong Kong midnight, or the end.
/// At each the clock jumps (while no invocation is under way), then all sources that are due run, the earliest first, until
/// none is, and then every timer function whose schedule was passed runs once. Between the jumps requests are served as
/// ever, because work that runs at a stop may call this very host.
/// </para>
/// </summary>
internal sealed class Timeline(
    MovableClock clock, ClockStore store, InvocationGate gate, IEnumerable<TimerFunction> timerFunctions, IEnumerable<DueSource> dueSources, ILogger<Timeline> logger)
    : IAsyncDisposable
{
    private static readonly TimeSpan HongKong = TimeSpan.FromHours(8);

    /// <summary>The loop looks again at least this often, in case the machine's own clock was set or the machine slept.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);

    /// <summary>How long a source waits that failed, or that named the same due moment again.</summary>
    private static readonly TimeSpan PutOff = TimeSpan.FromSeconds(1);

    /// <summary>How often an advance looks for what another host has left, in real time: that one's callers wait no longer on a quiet day.</summary>
    private static readonly TimeSpan LooksApart = TimeSpan.FromMilliseconds(200);

    private readonly List<TimerFunction> _timers = [.. timerFunctions];
    private readonly List<Source> _sources = [.. dueSources.Select(s => new Source(s))];
    private readonly SemaphoreSlim _turn = new(1);
    private readonly SemaphoreSlim _changed = new(0);
    private readonly CancellationTokenSource _stopping = new();
    private Task _loop = Task.CompletedTask;
    private long _lookedAt;

    public async Task StartAsync(CancellationToken cancellation)
    {
        foreach (var timer in _timers) await timer.StartAsync(clock.GetUtcNow(), cancellation);
        foreach (var source in _sources) source.Work.Changed += LookAgain;
        _loop = LoopAsync(_stopping.Token);
    }

    /// <summary>Moves the clock on by that much and runs all that falls due on the way. A second advance waits for the first.</summary>
    public async Task<(DateTimeOffset From, DateTimeOffset Now)> AdvanceAsync(TimeSpan by, CancellationToken cancellation)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _stopping.Token);
        await _turn.WaitAsync(either.Token);
        try
        {
            // What real time has begun ends first, so that nothing of it runs twice at once.
            await Task.WhenAll([.. _timers.Select(t => t.Running), .. _sources.Select(s => s.Running)]);
            await LookForNewsAsync(either.Token);
            var from = clock.GetUtcNow();
            var end = from + by;
            DateTimeOffset stop;
            do
            {
                stop = await NextStopAsync(end, either.Token);
                await gate.WhileEmptyAsync(() => JumpAsync(stop, either.Token), either.Token);
                await RunStopAsync(either.Token);
            }
            while (stop < end);

            return (from, clock.GetUtcNow());
        }
        finally
        {
            await SaveTimersAsync();
            _turn.Release();
            LookAgain();
        }
    }

    /// <summary>Starts nothing more and waits for what runs.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _loop;
        await Task.WhenAll([.. _timers.Select(t => t.Running), .. _sources.Select(s => s.Running)]);
    }

    private void LookAgain() => _changed.Release();

    private async Task<DateTimeOffset> NextStopAsync(DateTimeOffset end, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        var stop = new DateTimeOffset(now.ToOffset(HongKong).Date, HongKong).AddDays(1);
        if (TimeProvider.System.GetElapsedTime(_lookedAt) >= LooksApart) await LookForNewsAsync(cancellation);
        foreach (var source in _sources)
            if (await source.DueAsync(cancellation) is { } due && due < stop) stop = due;

        return stop < now ? now : stop < end ? stop : end;
    }

    private async Task LookForNewsAsync(CancellationToken cancellation)
    {
        foreach (var source in _sources) await source.Work.LookForNewsAsync(cancellation);
        _lookedAt = TimeProvider.System.GetTimestamp();
    }

    /// <summary>The position is written before it is taken: a host killed in between wakes late rather than in its own past.</summary>
    private async Task JumpAsync(DateTimeOffset moment, CancellationToken cancellation)
    {
        if (moment <= clock.GetUtcNow()) return;
        var position = clock.PositionAt(moment);
        await store.WriteAsync(position, cancellation);
        clock.Set(position);
    }

    private async Task RunStopAsync(CancellationToken cancellation)
    {
        await RunSourcesAsync(cancellation);
        var now = clock.GetUtcNow();
        foreach (var timer in _timers.Where(t => t.NextDue <= now).OrderBy(t => t.NextDue).ToList())
            await timer.RunAsync(clock.GetUtcNow(), cancellation, save: false);
        await RunSourcesAsync(cancellation);
    }

    /// <summary>
    /// Once for all the runs of an advance: a host that is killed on the way finds the status of before, and runs its timers once
    /// more, as it does whatever they missed.
    /// </summary>
    private async Task SaveTimersAsync()
    {
        try
        {
            foreach (var timer in _timers) await timer.SaveAsync(CancellationToken.None);
        }
        catch (Exception e)
        {
            logger.LogError(e, "The status of the timers could not be written");
        }
    }

    private async Task RunSourcesAsync(CancellationToken cancellation)
    {
        while (true)
        {
            Source? earliest = null;
            DateTimeOffset? when = null;
            foreach (var source in _sources)
            {
                if (await source.DueAsync(cancellation) is not { } due || due > clock.GetUtcNow() || due >= when) continue;
                (earliest, when) = (source, due);
            }

            if (earliest is null) return;
            await earliest.RunAsync(clock.GetUtcNow(), logger, cancellation);
        }
    }

    private async Task LoopAsync(CancellationToken stopping)
    {
        try
        {
            while (true)
            {
                var wait = await StartDueUnlessItFailsAsync(stopping);
                await _changed.WaitAsync(wait, stopping);
                // One look answers all the calls that came by then.
                while (_changed.Wait(0, stopping))
                {
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            logger.LogCritical(e, "The timeline has ended: nothing that falls due will run until the sandbox is started again");
        }
    }

    /// <summary>What is due is read from storage; when that does not answer, the timeline waits a moment and does not end.</summary>
    private async Task<TimeSpan> StartDueUnlessItFailsAsync(CancellationToken stopping)
    {
        try
        {
            return await StartDueAsync(stopping);
        }
        catch (Exception e) when (!stopping.IsCancellationRequested)
        {
            logger.LogError(e, "What falls due could not be read; it is tried again");
            return PutOff;
        }
    }

    /// <summary>Starts, beside each other, all that is due and not running; answers how long nothing more will be.</summary>
    private async Task<TimeSpan> StartDueAsync(CancellationToken stopping)
    {
        await _turn.WaitAsync(stopping);
        try
        {
            var now = clock.GetUtcNow();
            var next = now + LongestWait;
            foreach (var timer in _timers.Where(t => t.Running.IsCompleted))
            {
                if (timer.NextDue <= now) timer.Running = ThenLookAgain(timer.RunAsync(now, stopping));
                else if (timer.NextDue < next) next = timer.NextDue.Value;
            }

            foreach (var source in _sources.Where(s => s.Running.IsCompleted))
            {
                var due = await source.DueAsync(stopping);
                if (due <= now) source.Running = ThenLookAgain(source.RunAsync(now, logger, stopping));
                else if (due < next) next = due.Value;
                else if (source.IsPutOff && now + PutOff < next) next = now + PutOff;
            }

            // A millisecond more: to wake just before the moment would mean to look twice.
            return next - now + TimeSpan.FromMilliseconds(1);
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task ThenLookAgain(Task run)
    {
        try
        {
            await run;
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            logger.LogError(e, "Work that fell due could not be finished");
        }

        LookAgain();
    }

    /// <summary>A source together with what the timeline remembers of it.</summary>
    private sealed class Source(DueSource work)
    {
        private DateTimeOffset? _stuckAt;
        private long _stuckSince;

        public DueSource Work { get; } = work;

        public Task Running { get; set; } = Task.CompletedTask;

        public bool IsPutOff => _stuckAt is not null && TimeProvider.System.GetElapsedTime(_stuckSince) < PutOff;

        /// <summary>Its next due moment, unless that is one which its last run did not clear; such a one is tried again after a while.</summary>
        public async Task<DateTimeOffset?> DueAsync(CancellationToken cancellation)
        {
            var due = await Work.NextDueAsync(cancellation);
            return due == _stuckAt && IsPutOff ? null : due;
        }

        public async Task RunAsync(DateTimeOffset now, ILogger logger, CancellationToken cancellation)
        {
            var due = await Work.NextDueAsync(cancellation);
            try
            {
                await Work.RunDueAsync(now, cancellation);
            }
            catch (Exception e) when (!cancellation.IsCancellationRequested)
            {
                logger.LogError(e, "{Source} failed at what was due", Work.Name);
            }

            // A moment that lies ahead is not one that the run should have cleared: what was due may have gone before it began.
            _stuckAt = due <= now && await Work.NextDueAsync(cancellation) == due ? due : null;
            _stuckSince = TimeProvider.System.GetTimestamp();
        }
    }
}

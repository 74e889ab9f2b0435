using System.Collections.Concurrent;
using DurableTask.Core.History;
using Harbour.Sandbox.Runtime;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox.Durable;

/// <summary>How many orchestrators and activities run at once.</summary>
public sealed record DurableOptions(int Orchestrators = 16, int Activities = 16);

/// <summary>
/// Runs orchestrations, for one machine, durably: whatever is killed when, the next start goes on. A step of an orchestration is
/// written whole or not at all, and what is to follow from it (activities, timers, sub-orchestrations, events for others) is
/// read from what was written. So an activity runs at least once and what an orchestrator does happens once.
/// <para>
/// Work that is ready runs by itself, beside all else; the timeline is told that it is under way, so that time does not leap
/// over it, and is asked only for timers.
/// </para>
/// </summary>
internal sealed partial class DurableEngine : DueSource, IAsyncDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(10);

    private readonly DurableStore _store;
    private readonly Notices _notices;
    private readonly Payloads _payloads;
    private readonly FunctionRunner _runner;
    private readonly TimeProvider _clock;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly Dictionary<string, Function> _orchestrators;
    private readonly Dictionary<string, Function> _activities;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Instance> _instances = [];
    private readonly HashSet<(string Execution, int Call)> _acting = [];
    private readonly HashSet<(string InstanceId, string Key)> _inDelivery = [];
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _watched = new();
    private readonly Timers _timers = new();
    private readonly Busy _busy;
    private readonly Lanes _steps;
    private readonly Lanes _acts;
    private readonly SemaphoreSlim _polling = new(1);
    private readonly CancellationTokenSource _stopping = new();
    private Task _poll = Task.CompletedTask;
    private bool _started;

    public DurableEngine(
        DurableStore store, Notices notices, Payloads payloads, FunctionCatalogue catalogue, FunctionRunner runner, DurableOptions options, TimeProvider clock, ILoggerFactory loggers)
    {
        (_store, _notices, _payloads, _runner, _clock, _loggers) = (store, notices, payloads, runner, clock, loggers);
        _logger = loggers.CreateLogger<DurableEngine>();
        _orchestrators = catalogue.StartedBy<OrchestrationTriggerAttribute>().ToDictionary(f => f.Trigger.Orchestration ?? f.Function.Name, f => f.Function, StringComparer.OrdinalIgnoreCase);
        _activities = catalogue.StartedBy<ActivityTriggerAttribute>().ToDictionary(f => f.Trigger.Activity ?? f.Function.Name, f => f.Function, StringComparer.OrdinalIgnoreCase);
        (_busy, _steps, _acts) = (new(clock), new(options.Orchestrators), new(options.Activities));
    }

    public override string Name => "orchestrations";

    /// <summary>Goes on with all that has not ended. An application without orchestrators costs nothing.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        if (_orchestrators.Count == 0) return;
        var (open, sending) = await _store.FindUnfinishedAsync(cancellation);
        // Letters first: nobody may go on while a letter that it could have read already is still to be delivered again.
        foreach (var instanceId in sending) await DeliverAllAsync(instanceId);
        _started = true;
        foreach (var instanceId in open) Look(instanceId);
        _poll = PollAsync();
    }

    /// <summary>To be called when rows of an instance were written by somebody else.</summary>
    public void Look(string instanceId)
    {
        lock (_lock)
        {
            if (!_started) return;
            var instance = Get(instanceId);
            instance.HasPost = true;
            Queue(instance);
        }
    }

    /// <summary>Ends with the next step of that instance that is written.</summary>
    public Task NextStepOf(string instanceId) =>
        _watched.GetOrAdd(instanceId, _ => new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    public override ValueTask<DateTimeOffset?> NextDueAsync(CancellationToken cancellation) =>
        ValueTask.FromResult(_busy.Since ?? (_timers.Next(IsAwaited) is { } next ? new DateTimeOffset(next) : null));

    /// <summary>A second host leaves notices of what it wrote.</summary>
    public override async Task LookForNewsAsync(CancellationToken cancellation)
    {
        if (!_started) return;
        await _polling.WaitAsync(cancellation);
        try
        {
            await _notices.TakeAsync(Look, cancellation);
        }
        finally
        {
            _polling.Release();
        }
    }

    /// <summary>Fires the timers that are due and waits until nothing is under way; those that fall due meanwhile are not kept waiting.</summary>
    public override async Task RunDueAsync(DateTimeOffset now, CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            var due = _timers.TakeUntil(_clock.GetUtcNow().UtcDateTime);
            Fire(due);
            var idle = _busy.IdleAsync();
            if (idle.IsCompleted && due.Count == 0) return;
            await Task.WhenAny(idle, Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, cancellation));
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_stopping.IsCancellationRequested) return;
        await _stopping.CancelAsync();
        await _poll;
        try
        {
            await _busy.IdleAsync().WaitAsync(StopPatience, TimeProvider.System);
        }
        catch (TimeoutException)
        {
            _logger.LogWarning("An activity does not end; the host stops without it, and runs it again when it starts");
        }
    }

    private void Fire(List<Alarm> due)
    {
        lock (_lock)
        {
            foreach (var alarm in due)
            {
                if (!_instances.TryGetValue(alarm.InstanceId, out var instance)) continue;
                if (alarm.Call >= 0) instance.Add(new(null, alarm.Execution, new TimerFiredEvent(-1, alarm.FireAt) { TimerId = alarm.Call }));
                Queue(instance);
            }
        }
    }

    private bool IsAwaited(Alarm alarm)
    {
        lock (_lock) return _instances.TryGetValue(alarm.InstanceId, out var instance) && (instance.Row is not { } row || row.Execution == alarm.Execution);
    }

    private async Task PollAsync()
    {
        try
        {
            while (true)
            {
                await Task.Delay(PollEvery, TimeProvider.System, _stopping.Token);
                try
                {
                    await LookForNewsAsync(_stopping.Token);
                }
                catch (Exception e) when (!_stopping.IsCancellationRequested)
                {
                    _logger.LogError(e, "Notices of other hosts could not be read; it is tried again");
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private Instance Get(string instanceId)
    {
        if (!_instances.TryGetValue(instanceId, out var instance)) _instances.Add(instanceId, instance = new(instanceId));
        return instance;
    }

    private void Post(string instanceId, Message message)
    {
        lock (_lock)
        {
            if (!_instances.TryGetValue(instanceId, out var instance)) return;
            instance.Add(message);
            Queue(instance);
        }
    }

    /// <summary>Gives an instance a turn, behind all that have one coming. Under the lock.</summary>
    private void Queue(Instance instance)
    {
        if (instance.IsQueued || _stopping.IsCancellationRequested) return;
        instance.IsQueued = true;
        if (instance.IsRunning) return;
        _busy.Begin();
        _steps.Run(() => RunTurnAsync(instance));
    }

    private async Task RunTurnAsync(Instance instance)
    {
        lock (_lock) (instance.IsQueued, instance.IsRunning) = (false, true);
        var goesOn = await TakeTurnUnlessItFailsAsync(instance);
        lock (_lock)
        {
            instance.IsRunning = false;
            goesOn = (goesOn || instance.IsQueued) && !_stopping.IsCancellationRequested;
            instance.IsQueued = goesOn;
            if (!goesOn && instance.Row is null) _instances.Remove(instance.Id);
        }

        if (goesOn) _steps.Run(() => RunTurnAsync(instance));
        else _busy.End();
    }

    private async Task<bool> TakeTurnUnlessItFailsAsync(Instance instance)
    {
        try
        {
            return await TakeTurnAsync(instance);
        }
        catch (Exception e)
        {
            instance.Row = null;
            if (_stopping.IsCancellationRequested) return false;
            _logger.LogError(e, "A step of {Instance} could not be written; it is tried again from what is kept", instance.Id);
            await PauseAsync();
            return true;
        }
    }

    private async Task PauseAsync() =>
        await Task.Delay(Pause, TimeProvider.System, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}

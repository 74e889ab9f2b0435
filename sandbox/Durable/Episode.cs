using DurableTask.Core;
using DurableTask.Core.History;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox.Durable;

/// <summary>
/// One step of one orchestration: the code is run from its start against what has happened, then against what is new, and what
/// it asks for beyond its history is what the step adds. As in the real engine
/// <list type="bullet">
/// <item>an orchestration has ended when its code has returned and nothing that it scheduled is open: a timer that lost a race has
/// to be cancelled, or the end waits for it;</item>
/// <item>an event goes to the wait that was begun last, and to no other, even when that one has been cancelled.</item>
/// </list>
/// </summary>
internal sealed partial class Episode
{
    private readonly InstanceRow _row;
    private readonly Payloads _payloads;
    private readonly OrchestratorThread _thread;
    private readonly Action<string> _onForeign;
    private readonly List<HistoryEvent> _held = [];
    private readonly SortedDictionary<int, HistoryEvent> _unconfirmed = [];
    private Func<Task<object?>> _orchestrator = null!;
    private Task<object?>? _running;
    private ExecutionTerminatedEvent? _terminated;
    private string? _wrong;
    private string? _foreign;

    public Episode(InstanceRow row, Payloads payloads, ILoggerFactory loggers, Action<string> onForeign)
    {
        (_row, _payloads, LoggerFactory, _onForeign) = (row, payloads, loggers, onForeign);
        _thread = new(why =>
        {
            _foreign ??= why;
            onForeign(why);
        });
    }

    /// <summary>What the code asked for that its history does not hold yet, in the order in which it did; nothing where it is not to be heard.</summary>
    public IReadOnlyCollection<HistoryEvent> Actions => _wrong is null && _foreign is null && _terminated is null ? _unconfirmed.Values : [];

    public bool IsSuspended { get; private set; }

    /// <summary>Runs the step. Its outcome is read from the members afterwards.</summary>
    public void Run(IEnumerable<HistoryEvent> past, IEnumerable<HistoryEvent> fresh, Func<Task<object?>> orchestrator)
    {
        _orchestrator = orchestrator;
        _thread.Run(() =>
        {
            _isReplaying = true;
            ProcessAll(past);
            _isReplaying = false;
            ProcessAll(fresh);
        });

        // Code that comes to its end by itself, after the step, was moved on by something foreign.
        if (_running is { IsCompleted: false }) _ = _running.ContinueWith(_ => _onForeign(OrchestratorThread.Foreign), TaskScheduler.Default);
    }

    /// <summary>How the execution ended; null while it goes on, and when it is to continue as new.</summary>
    public ExecutionCompletedEvent? End()
    {
        if (_terminated is not null) return new(-1, _terminated.Input, OrchestrationStatus.Terminated);
        if (_wrong is not null) return Failed("DurableTask.Core.Exceptions.NonDeterministicOrchestrationException", _wrong);
        if (_foreign is not null) return Failed(typeof(InvalidOperationException).ToString(), _foreign);
        if (_open.Count > 0 || _running is null || IsSuspended) return null;
        if (!_running.IsCompleted) return _waits.IsNoneLeft ? Failed(typeof(InvalidOperationException).ToString(), OrchestratorThread.Foreign) : null;
        try
        {
            var output = _running.GetAwaiter().GetResult();
            return Next is null ? new(-1, _payloads.Serialize(output), OrchestrationStatus.Completed) : null;
        }
        catch (Exception e)
        {
            return new(-1, null, OrchestrationStatus.Failed, Payloads.Describe(e));
        }
    }

    /// <summary>Whether the execution is over and another one follows it with <see cref="Next"/>.</summary>
    public bool Continues() => Next is not null && _open.Count == 0 && !IsSuspended && _running is { IsCompletedSuccessfully: true } && End() is null;

    private static ExecutionCompletedEvent Failed(string type, string message) =>
        new(-1, null, OrchestrationStatus.Failed, new FailureDetails(type, message, null, null, false));

    private void ProcessAll(IEnumerable<HistoryEvent> events)
    {
        foreach (var happened in events)
        {
            if (_wrong is not null || _terminated is not null) return;
            Process(happened);
            _thread.Drain();
        }
    }

    private void Process(HistoryEvent happened)
    {
        switch (happened)
        {
            case OrchestratorStartedEvent:
                _now = happened.Timestamp;
                break;
            case OrchestratorCompletedEvent when _unconfirmed.Count > 0:
                _wrong = Describe("ended a step", _unconfirmed.Values.First());
                break;
            case ExecutionTerminatedEvent terminated:
                _terminated = terminated;
                break;
            case ExecutionSuspendedEvent:
                IsSuspended = true;
                break;
            case ExecutionResumedEvent:
                Resume();
                break;
            case TaskScheduledEvent or TimerCreatedEvent or SubOrchestrationInstanceCreatedEvent or EventSentEvent:
                Confirm(happened);
                break;
            case not OrchestratorCompletedEvent when IsSuspended:
                _held.Add(happened);
                break;
            default:
                Deliver(happened);
                break;
        }
    }

    private void Deliver(HistoryEvent happened)
    {
        switch (happened)
        {
            case ExecutionStartedEvent:
                _running = _orchestrator();
                break;
            case TaskCompletedEvent done:
                Settle(done.TaskScheduledId, done.Result);
                break;
            case SubOrchestrationInstanceCompletedEvent done:
                Settle(done.TaskScheduledId, done.Result);
                break;
            case TimerFiredEvent fired:
                Settle(fired.TimerId, (string?)null);
                break;
            case TaskFailedEvent failed:
                Settle(failed.TaskScheduledId, failed.FailureDetails);
                break;
            case SubOrchestrationInstanceFailedEvent failed:
                Settle(failed.TaskScheduledId, failed.FailureDetails);
                break;
            case EventRaisedEvent raised when Next is { PreserveUnprocessedEvents: true }:
                _carried.Add(raised);
                break;
            case EventRaisedEvent raised:
                _waits.Raise(raised);
                break;
        }
    }

    private void Resume()
    {
        if (!IsSuspended) return;
        IsSuspended = false;
        var held = _held.ToList();
        _held.Clear();
        ProcessAll(held);
    }

    /// <summary>What the history holds at this place has to be what the code asked for at this place.</summary>
    private void Confirm(HistoryEvent scheduled)
    {
        if (_unconfirmed.Remove(scheduled.EventId, out var asked) && Say(asked) == Say(scheduled)) return;
        _wrong = Describe(Say(scheduled), asked);
    }

    private string Describe(string before, HistoryEvent? asked)
    {
        var instead = asked is not null ? Say(asked) : _running is { IsCompleted: true } ? "has returned" : "did not get there";
        return $"The orchestrator {_row.Name} did not do again what it did before. At that place its history says: {before}; its code now: {instead}. "
            + "It has changed while this instance was under way, or it decides by something that a replay does not repeat.";
    }

    private static string Say(HistoryEvent action) => action switch
    {
        TaskScheduledEvent task => $"called activity '{task.Name}' (#{task.EventId})",
        SubOrchestrationInstanceCreatedEvent sub => $"called sub-orchestrator '{sub.Name}' (#{sub.EventId})",
        EventSentEvent sent => $"sent event '{sent.Name}' to '{sent.InstanceId}' (#{sent.EventId})",
        _ => $"created a timer (#{action.EventId})",
    };
}

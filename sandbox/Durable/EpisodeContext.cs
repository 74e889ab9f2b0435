using System.Security.Cryptography;
using System.Text;
using DurableTask.Core;
using DurableTask.Core.History;
using Microsoft.DurableTask;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox.Durable;

/// <summary>The side of a step that the orchestrator sees.</summary>
internal sealed partial class Episode : TaskOrchestrationContext
{
    private readonly Dictionary<int, (string Name, TaskCompletionSource<string?> Source)> _open = [];
    private readonly HashSet<int> _hopeless = [];
    private readonly EventWaits _waits = new();
    private readonly List<EventRaisedEvent> _carried = [];
    private DateTime _now;
    private bool _isReplaying;
    private object? _customStatus;
    private int _nextId;
    private int _guids;

    public override TaskName Name => _row.Name;

    public override string InstanceId => _row.InstanceId;

    public override ParentOrchestrationInstance? Parent => _row.Parent is { } parent ? new(parent.Name, parent.InstanceId) : null;

    public override DateTime CurrentUtcDateTime => _now;

    public override bool IsReplaying => _isReplaying;

    /// <summary>What the next execution begins with, once the code has asked for one.</summary>
    public ContinueAsNewOptions? Next { get; private set; }

    protected override ILoggerFactory LoggerFactory { get; }

    /// <summary>The events that the next execution is to find: those that nobody waited for, in the order in which they came.</summary>
    public IReadOnlyList<EventRaisedEvent> Carried() =>
        Next is { PreserveUnprocessedEvents: true } ? [.. _waits.Unclaimed, .. _carried] : [];

    /// <exception cref="ArgumentException">It is too large.</exception>
    public string? CustomStatus() => _payloads.Serialize(_customStatus);

    /// <exception cref="ArgumentException">It is too large.</exception>
    public string? NextInput() => _payloads.Serialize(Next!.NewInput);

    public override T? GetInput<T>() where T : default => _payloads.Deserialize<T>(_row.Input);

    public override async Task<TResult> CallActivityAsync<TResult>(TaskName name, object? input = null, TaskOptions? options = null)
    {
        if (input is TaskOptions && options is null) throw new ArgumentException("The options stand where the input belongs.", nameof(input));
        var json = _payloads.Serialize(input);
        return Read<TResult>(await RetryAsync(() => Schedule(name, id => new TaskScheduledEvent(id) { Name = name, Input = json }), options));
    }

    public override async Task<TResult> CallSubOrchestratorAsync<TResult>(TaskName orchestratorName, object? input = null, TaskOptions? options = null)
    {
        var json = _payloads.Serialize(input);
        var instance = (options as SubOrchestrationOptions)?.InstanceId ?? NewGuid().ToString("N");
        return Read<TResult>(await RetryAsync(
            () => Schedule(orchestratorName, id => new SubOrchestrationInstanceCreatedEvent(id) { Name = orchestratorName, InstanceId = instance, Input = json }), options));
    }

    public override async Task CreateTimer(DateTime fireAt, CancellationToken cancellationToken)
    {
        var id = _nextId;
        var fired = Schedule("timer", _ => new TimerCreatedEvent(id, fireAt.ToUniversalTime()));
        using var cancelled = cancellationToken.Register(() =>
        {
            if (_open.Remove(id, out var timer)) timer.Source.TrySetCanceled(cancellationToken);
        });
        await fired;
    }

    public override Task<T> WaitForExternalEvent<T>(string eventName, CancellationToken cancellationToken = default)
    {
        _thread.Check();
        return _waits.Begin(eventName, Read<T>, cancellationToken);
    }

    public override void SendEvent(string instanceId, string eventName, object payload)
    {
        _thread.Check();
        var id = _nextId++;
        _unconfirmed.Add(id, new EventSentEvent(id) { InstanceId = instanceId, Name = eventName, Input = _payloads.Serialize(payload) });
    }

    public override void SetCustomStatus(object? customStatus)
    {
        _thread.Check();
        _customStatus = customStatus;
    }

    public override void ContinueAsNew(object? newInput = null, bool preserveUnprocessedEvents = true)
    {
        _thread.Check();
        Next = new() { NewInput = newInput, PreserveUnprocessedEvents = preserveUnprocessedEvents };
    }

    public override Guid NewGuid()
    {
        _thread.Check();
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{_row.InstanceId}_{_row.Execution}_{_now:O}_{_guids++}"));
        return new Guid(hash.AsSpan(0, 16));
    }

    private T Read<T>(string? json) => _payloads.Deserialize<T>(json)!;

    private Task<string?> Schedule(string name, Func<int, HistoryEvent> action)
    {
        _thread.Check();
        var id = _nextId++;
        _unconfirmed.Add(id, action(id));
        var source = new TaskCompletionSource<string?>();
        _open.Add(id, (name, source));
        return source.Task;
    }

    private void Settle(int id, string? result)
    {
        if (_open.Remove(id, out var task)) task.Source.TrySetResult(result);
    }

    private void Settle(int id, FailureDetails? failure)
    {
        if (!_open.Remove(id, out var task)) return;
        if (failure is { IsNonRetriable: true }) _hopeless.Add(id);
        task.Source.TrySetException(new TaskFailedException(task.Name, id, Payloads.ToSdk(failure)));
    }

    private async Task<string?> RetryAsync(Func<Task<string?>> attempt, TaskOptions? options)
    {
        var began = _now;
        for (var attempts = 1; ; attempts++)
        {
            try
            {
                return await attempt();
            }
            catch (TaskFailedException e) when (options?.Retry is not null && !_hopeless.Contains(e.TaskId))
            {
                if (options.Retry.Handler is { } handler)
                {
                    if (!await handler(new(this, attempts, e.FailureDetails, _now - began, CancellationToken.None))) throw;
                }
                else
                {
                    if (PauseAfter(attempts, began, options.Retry.Policy!, e.FailureDetails) is not { } pause) throw;
                    await CreateTimer(_now + pause, CancellationToken.None);
                }
            }
        }
    }

    /// <summary>How long to wait before the next attempt; null when there is none.</summary>
    private TimeSpan? PauseAfter(int attempts, DateTime began, RetryPolicy policy, TaskFailureDetails failure)
    {
        if (attempts >= policy.MaxNumberOfAttempts || !policy.Handles(failure)) return null;
        if (policy.RetryTimeout != Timeout.InfiniteTimeSpan && _now - began >= policy.RetryTimeout) return null;
        var longest = policy.MaxRetryInterval == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : policy.MaxRetryInterval;
        var milliseconds = policy.FirstRetryInterval.TotalMilliseconds * Math.Pow(policy.BackoffCoefficient, attempts - 1);
        return milliseconds < longest.TotalMilliseconds ? TimeSpan.FromMilliseconds(milliseconds) : longest;
    }
}

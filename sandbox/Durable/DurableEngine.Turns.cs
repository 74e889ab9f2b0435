using DurableTask.Core;
using DurableTask.Core.History;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox.Durable;

/// <summary>What an instance does when it is its turn, and what follows from a step that was written.</summary>
internal sealed partial class DurableEngine
{
    /// <summary>Takes in what has come for an instance; true when there is more.</summary>
    private async Task<bool> TakeTurnAsync(Instance instance)
    {
        if (instance.Row is null && !await LoadAsync(instance)) return false;
        if (instance.HasPost) await FetchPostAsync(instance);

        var (row, now) = (instance.Row!, _clock.GetUtcNow());
        List<Message> messages;
        List<string> consumed;
        lock (_lock)
        {
            var isEarly = !instance.HasStarted && row.StartAt > now;
            if (isEarly && !instance.Inbox.Exists(m => m.Event is ExecutionTerminatedEvent)) return false;
            (messages, consumed) = instance.Take();
        }

        if (instance.HasStarted && messages.Count == 0 && instance.Astray is null)
        {
            instance.Garbage.AddRange(consumed);
            return instance.Inbox.Count > 0;
        }

        var outcome = await RunStepAsync(instance, messages, consumed, now);
        try
        {
            var written = await _store.CommitAsync(outcome.Step, _stopping.Token);
            Follow(instance, outcome, written);
        }
        catch
        {
            // What is in the inbox table is read again; what only memory knew must not be forgotten.
            lock (_lock) instance.Inbox.InsertRange(0, messages.Where(m => m.Key is null));
            throw;
        }

        if (outcome.Letters.Count > 0) await DeliverAsync(instance.Id, outcome.Step.Outbox, outcome.Letters);
        if (outcome.Step.Row.IsCompleted) instance.Row = null;
        if (_watched.TryRemove(instance.Id, out var watched)) watched.SetResult();
        return !outcome.Step.Row.IsCompleted && (outcome.IsNewExecution || instance.Inbox.Count > 0);
    }

    private async Task<Outcome> RunStepAsync(Instance instance, List<Message> messages, List<string> consumed, DateTimeOffset now)
    {
        var row = instance.Row!;
        List<HistoryEvent> fresh = [new OrchestratorStartedEvent(-1)];
        if (!instance.HasStarted) fresh.Add(new ExecutionStartedEvent(-1, row.Input) { Name = row.Name });
        fresh.AddRange(messages.Select(m => m.Event));
        foreach (var e in fresh) e.Timestamp = now.UtcDateTime;

        Episode? episode = null;
        var astray = instance.Astray;
        if (!_orchestrators.TryGetValue(row.Name, out var function))
        {
            astray = $"The function '{row.Name}' doesn't exist, is disabled, or is not an orchestrator function.";
        }
        else
        {
            episode = new Episode(row, _payloads, _loggers, why => GoAstray(instance, row.Execution, why));
            await _runner.RunStepAsync(function, episode, run => episode.Run(instance.History, fresh, run), _stopping.Token);
        }

        return StepComposer.Compose(instance, fresh, consumed, episode, astray, now, () => Guid.CreateVersion7(now).ToString("N"));
    }

    private void Follow(Instance instance, Outcome outcome, Written written)
    {
        instance.Row = outcome.Step.Row with { ETag = written.ETag };
        if (outcome.IsNewExecution)
        {
            instance.Astray = null;
            instance.Garbage.AddRange(instance.HistoryKeys);
            instance.Restart(outcome.History, written.HistoryKeys);
        }
        else
        {
            instance.Append(outcome.History);
            instance.HistoryKeys.AddRange(written.HistoryKeys);
        }

        instance.Garbage.RemoveRange(0, written.GarbageGone);
        foreach (var action in outcome.Actions) Begin(instance, action);
    }

    /// <summary>Reads an instance from storage, and begins again whatever its history has begun and not seen the end of.</summary>
    private async Task<bool> LoadAsync(Instance instance)
    {
        lock (_lock) instance.HasPost = false;
        if (await _store.LoadAsync(instance.Id, _stopping.Token) is not { Row.IsCompleted: false } kept) return false;
        List<HistoryEvent> unanswered;
        lock (_lock)
        {
            instance.Load(kept, IsArrived(instance.Id));
            unanswered = [.. instance.Outstanding.Values.Where(e => !instance.IsAnswered(e.EventId)).OrderBy(e => e.EventId)];
        }

        foreach (var action in unanswered) Begin(instance, action);
        if (!instance.HasStarted && kept.Row.StartAt is { } start) Set(new(instance.Id, kept.Row.Execution, -1, start.UtcDateTime));
        return true;
    }

    private async Task FetchPostAsync(Instance instance)
    {
        lock (_lock) instance.HasPost = false;
        var post = await _store.ReadInboxAsync(instance.Id, _stopping.Token);
        lock (_lock)
        {
            foreach (var message in post.Where(IsArrived(instance.Id))) instance.Add(message);
        }
    }

    /// <summary>A letter that its sender has not struck off yet would be delivered again after a crash: until then it is not seen.</summary>
    private Func<Message, bool> IsArrived(string instanceId) => message => !_inDelivery.Contains((instanceId, message.Key!));

    private void Begin(Instance instance, HistoryEvent action)
    {
        var execution = instance.Row!.Execution;
        if (action is TimerCreatedEvent timer) Set(new(instance.Id, execution, timer.EventId, timer.FireAt));
        if (action is not TaskScheduledEvent task) return;
        lock (_lock)
        {
            if (!_acting.Add((execution, task.EventId))) return;
        }

        _busy.Begin();
        _acts.Run(() => ActAsync(instance.Id, execution, task));
    }

    private void Set(Alarm alarm)
    {
        _timers.Set(alarm);
        NotifyChanged();
    }

    private async Task ActAsync(string instanceId, string execution, TaskScheduledEvent task)
    {
        var end = await EndOfAsync(task);
        lock (_lock) _acting.Remove((execution, task.EventId));
        if (end is not null) Post(instanceId, new(null, execution, end));
        _busy.End();
    }

    /// <summary>Runs an activity; null when the host stops, since then it is run again at the next start.</summary>
    private async Task<HistoryEvent?> EndOfAsync(TaskScheduledEvent task)
    {
        if (_stopping.IsCancellationRequested) return null;
        if (!_activities.TryGetValue(task.Name!, out var function))
        {
            var missing = new FailureDetails("(unknown)", $"The function '{task.Name}' doesn't exist, is disabled, or is not an activity function.", null, null, true);
            return new TaskFailedEvent(-1, task.EventId, missing.ErrorMessage, null, missing);
        }

        try
        {
            var result = await _runner.RunAsync(function, new ActivityInput(task.Input, _payloads), _stopping.Token);
            return new TaskCompletedEvent(-1, task.EventId, _payloads.Serialize(result));
        }
        catch (Exception) when (_stopping.IsCancellationRequested)
        {
            return null;
        }
        catch (Exception e)
        {
            var failure = Payloads.DescribeActivity(e);
            return new TaskFailedEvent(-1, task.EventId, failure.ErrorMessage, null, failure);
        }
    }

    private void GoAstray(Instance instance, string execution, string why)
    {
        lock (_lock)
        {
            if (instance.Row?.Execution != execution) return;
            instance.Astray = why;
            Queue(instance);
        }
    }

    private async Task DeliverAllAsync(string instanceId)
    {
        foreach (var (outbox, letters) in await _store.ReadOutboxAsync(instanceId, _stopping.Token)) await DeliverAsync(instanceId, outbox, letters);
    }

    /// <summary>Delivers the letters of one step, strikes them off, and only then shows them: so a crash in between repeats nothing.</summary>
    private async Task DeliverAsync(string from, string outbox, IReadOnlyList<Letter> letters)
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                List<(string To, Message? Message)> delivered = [];
                foreach (var letter in letters) delivered.Add(await DeliverAsync(letter));
                await _store.StrikeOffAsync(from, outbox, _stopping.Token);
                foreach (var (to, message) in delivered) Show(to, message);
                return;
            }
            catch (Exception e) when (!_stopping.IsCancellationRequested)
            {
                _logger.LogError(e, "Messages of {Instance} could not be delivered; it is tried again", from);
                await PauseAsync();
            }
        }
    }

    private async Task<(string To, Message? Message)> DeliverAsync(Letter letter)
    {
        if (letter is { Starts: { } call, Event: ExecutionStartedEvent start })
        {
            var execution = Guid.CreateVersion7(letter.Sent).ToString("N");
            var there = await _store.CreateAsync(new(letter.To, start.Name, execution, letter.Sent) { Parent = call, Input = start.Input, UpdatedAt = letter.Sent }, _stopping.Token);
            if (there.Parent == call) return (letter.To, null);
            var refusal = new FailureDetails("(unknown)", $"An orchestration with the id '{letter.To}' already exists.", null, null, true);
            letter = new(call.InstanceId, $"{letter.Source}-refused", letter.Sent, call.Execution, new SubOrchestrationInstanceFailedEvent(-1, call.TaskId, refusal.ErrorMessage, null, refusal));
        }

        var message = new Message(Keys.InboxRow(letter.Sent, letter.Source), letter.Execution, letter.Event);
        lock (_lock) _inDelivery.Add((letter.To, message.Key!));
        if (await _store.ReadAsync(letter.To, _stopping.Token) is { IsCompleted: false }) await _store.PutAsync(letter.To, message, _stopping.Token);
        return (letter.To, message);
    }

    private void Show(string to, Message? message)
    {
        lock (_lock)
        {
            if (message is not null) _inDelivery.Remove((to, message.Key!));
        }

        Look(to);
    }
}

using System.Text.Json;
using DurableTask.Core;
using DurableTask.Core.History;
using Microsoft.DurableTask.Client;

namespace Harbour.Sandbox.Durable;

/// <summary>What a step came to: what is written, and what follows from it once it is.</summary>
internal sealed record Outcome(Step Step, IReadOnlyList<HistoryEvent> History, IReadOnlyList<HistoryEvent> Actions, IReadOnlyList<Letter> Letters, bool IsNewExecution);

/// <summary>Makes of a step that was run what is to be written.</summary>
internal static class StepComposer
{
    /// <param name="astray">Why the instance has to fail whatever the step says; null where it need not.</param>
    public static Outcome Compose(Instance instance, List<HistoryEvent> fresh, IReadOnlyList<string> consumed, Episode? episode, string? astray, DateTimeOffset now, Func<string> newExecution)
    {
        var row = instance.Row! with { UpdatedAt = now };
        if (episode is null || astray is not null) return Ended(Failure(astray!), []);
        try
        {
            row = row with { CustomStatus = episode.CustomStatus() };
            if (episode.Continues()) return Continued();
            if (episode.End() is { } end) return Ended(end, episode.Actions);
        }
        catch (ArgumentException e)
        {
            return Ended(Failure(e.Message), []);
        }

        var outcome = Written(
            row with { Steps = row.Steps + 1, Status = episode.IsSuspended ? OrchestrationRuntimeStatus.Suspended : OrchestrationRuntimeStatus.Running },
            [.. fresh, .. Stamped(episode.Actions), Stamp(new OrchestratorCompletedEvent(-1))], episode.Actions, Letters(episode.Actions), false);
        return outcome.Step.History!.Length + (outcome.Step.Letters?.Length ?? 0) <= DurableStore.LargestStep
            ? outcome
            : Ended(Failure($"The orchestrator asked for too much in one step: more than {DurableStore.LargestStep} characters. Pass ids of what lies in storage, or go on in portions."), []);

        Outcome Ended(ExecutionCompletedEvent end, IReadOnlyCollection<HistoryEvent> actions)
        {
            var ended = row with
            {
                Steps = row.Steps + 1,
                Status = Enum.Parse<OrchestrationRuntimeStatus>(end.OrchestrationStatus.ToString()),
                Output = end.Result,
                Failure = end.FailureDetails,
            };
            List<Letter> letters = [.. Letters(actions)];
            if (row.Parent is { } parent) letters.Add(new(parent.InstanceId, $"{row.Execution}-end", now, parent.Execution, Answer(parent.TaskId, end)));
            return Written(ended, [.. fresh, .. Stamped(actions), Stamp(end)], [], letters, false);
        }

        Outcome Continued()
        {
            var next = row with { Execution = newExecution(), Steps = 0, Input = episode.NextInput(), Status = OrchestrationRuntimeStatus.Running, StartAt = null };
            return Written(next, [.. episode.Carried()], [], Letters(episode.Actions), true);
        }

        Outcome Written(InstanceRow to, IReadOnlyList<HistoryEvent> history, IReadOnlyCollection<HistoryEvent> actions, IReadOnlyList<Letter> letters, bool isNew)
        {
            var garbage = isNew ? [.. instance.Garbage, .. instance.HistoryKeys] : instance.Garbage;
            var step = new Step(to, Json(history), Keys.OutboxOf(row.Execution, row.Steps), Json(letters), consumed, garbage);
            return new(step, history, [.. actions], letters, isNew);
        }

        IReadOnlyList<Letter> Letters(IEnumerable<HistoryEvent> actions) =>
        [
            .. actions.OfType<EventSentEvent>().Select(e => new Letter(e.InstanceId, $"{row.Execution}-{e.EventId}", now, null, Stamp(new EventRaisedEvent(-1, e.Input) { Name = e.Name }))),
            .. actions.OfType<SubOrchestrationInstanceCreatedEvent>().Select(e => new Letter(
                e.InstanceId, $"{row.Execution}-{e.EventId}", now, null, new ExecutionStartedEvent(-1, e.Input) { Name = e.Name },
                new ParentCall(row.Name, row.InstanceId, row.Execution, e.EventId))),
        ];

        IEnumerable<HistoryEvent> Stamped(IEnumerable<HistoryEvent> events) => events.Select(Stamp);

        HistoryEvent Stamp(HistoryEvent e)
        {
            e.Timestamp = now.UtcDateTime;
            return e;
        }
    }

    private static HistoryEvent Answer(int call, ExecutionCompletedEvent end) => end.OrchestrationStatus == OrchestrationStatus.Completed
        ? new SubOrchestrationInstanceCompletedEvent(-1, call, end.Result)
        : new SubOrchestrationInstanceFailedEvent(
            -1, call, end.FailureDetails?.ErrorMessage, null, end.FailureDetails ?? new("(unknown)", "The sub-orchestration was terminated.", null, null, false));

    private static ExecutionCompletedEvent Failure(string why) =>
        new(-1, null, OrchestrationStatus.Failed, new FailureDetails(typeof(InvalidOperationException).ToString(), why, null, null, false));

    private static string? Json<T>(IReadOnlyList<T> list) => list.Count == 0 ? null : JsonSerializer.Serialize(list, HistoryJson.Options);
}

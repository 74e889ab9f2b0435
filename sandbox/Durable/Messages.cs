using Azure;
using DurableTask.Core.History;

namespace Harbour.Sandbox.Durable;

/// <summary>
/// Something that an instance is to take into its history. One that comes from outside lies in the inbox under
/// <paramref name="Key"/>; one without a key follows from the history itself and is made again after a restart.
/// <paramref name="Execution"/> is set where it means nothing to any other execution.
/// </summary>
internal sealed record Message(string? Key, string? Execution, HistoryEvent Event)
{
    /// <summary>The call that it answers; null where it answers none.</summary>
    public int? Answers => Event switch
    {
        TaskCompletedEvent e => e.TaskScheduledId,
        TaskFailedEvent e => e.TaskScheduledId,
        SubOrchestrationInstanceCompletedEvent e => e.TaskScheduledId,
        SubOrchestrationInstanceFailedEvent e => e.TaskScheduledId,
        TimerFiredEvent e => e.TimerId,
        _ => null,
    };
}

/// <summary>A message to another instance, or the start of one when it says whose call that is.</summary>
internal sealed record Letter(string To, string Source, DateTimeOffset Sent, string? Execution, HistoryEvent Event, ParentCall? Starts = null);

/// <summary>
/// What a step writes, all of it or nothing: the row under the ETag that it holds, the history and the letters as JSON, and what
/// goes. <paramref name="Outbox"/> names the letters after the step that sends them.
/// </summary>
internal sealed record Step(InstanceRow Row, string? History, string Outbox, string? Letters, IReadOnlyList<string> Consumed, IReadOnlyList<string> Garbage);

/// <summary>What became of a step: the row's new ETag, the keys of its history, and how much of the garbage went with it.</summary>
internal sealed record Written(ETag ETag, IReadOnlyList<string> HistoryKeys, int GarbageGone);

/// <summary>All that is kept of one instance.</summary>
internal sealed record Kept(InstanceRow Row, List<HistoryEvent> History, List<string> HistoryKeys, List<Message> Inbox, List<string> Garbage);

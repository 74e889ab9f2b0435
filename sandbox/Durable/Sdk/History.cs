using System.Text.Json.Serialization;

// The events of an orchestration's history, with the names and shapes of DurableTask.Core. The engine keeps its own books in
// them as well, so there is one form of history: what a reader gets is what a replay runs on.

namespace DurableTask.Core
{
    public enum OrchestrationStatus
    {
        Running = 0,
        Completed = 1,
        ContinuedAsNew = 2,
        Failed = 3,
        Canceled = 4,
        Terminated = 5,
        Pending = 6,
        Suspended = 7,
    }

    public class FailureDetails(string errorType, string errorMessage, string? stackTrace, FailureDetails? innerFailure, bool isNonRetriable)
    {
        public string ErrorType { get; } = errorType;

        public string ErrorMessage { get; } = errorMessage;

        public string? StackTrace { get; } = stackTrace;

        public FailureDetails? InnerFailure { get; } = innerFailure;

        /// <summary>Another attempt would end the same way: what was called does not exist.</summary>
        public bool IsNonRetriable { get; } = isNonRetriable;

        public override string ToString() => $"{ErrorType}: {ErrorMessage}";
    }
}

namespace DurableTask.Core.History
{
    public enum EventType
    {
        ExecutionStarted = 0,
        ExecutionCompleted = 1,
        ExecutionFailed = 2,
        ExecutionTerminated = 3,
        TaskScheduled = 4,
        TaskCompleted = 5,
        TaskFailed = 6,
        SubOrchestrationInstanceCreated = 7,
        SubOrchestrationInstanceCompleted = 8,
        SubOrchestrationInstanceFailed = 9,
        TimerCreated = 10,
        TimerFired = 11,
        OrchestratorStarted = 12,
        OrchestratorCompleted = 13,
        EventSent = 14,
        EventRaised = 15,
        ContinueAsNew = 16,
        GenericEvent = 17,
        HistoryState = 18,
        ExecutionSuspended = 19,
        ExecutionResumed = 20,
        ExecutionRewound = 21,
    }

    /// <summary>One thing that happened. What the orchestrator asked for has an id that counts up from zero; all else has -1.</summary>
    [JsonPolymorphic(TypeDiscriminatorPropertyName = "t")]
    [JsonDerivedType(typeof(OrchestratorStartedEvent), "started")]
    [JsonDerivedType(typeof(OrchestratorCompletedEvent), "done")]
    [JsonDerivedType(typeof(ExecutionStartedEvent), "start")]
    [JsonDerivedType(typeof(ExecutionCompletedEvent), "end")]
    [JsonDerivedType(typeof(ExecutionTerminatedEvent), "terminate")]
    [JsonDerivedType(typeof(ExecutionSuspendedEvent), "suspend")]
    [JsonDerivedType(typeof(ExecutionResumedEvent), "resume")]
    [JsonDerivedType(typeof(TaskScheduledEvent), "task")]
    [JsonDerivedType(typeof(TaskCompletedEvent), "task-done")]
    [JsonDerivedType(typeof(TaskFailedEvent), "task-failed")]
    [JsonDerivedType(typeof(SubOrchestrationInstanceCreatedEvent), "sub")]
    [JsonDerivedType(typeof(SubOrchestrationInstanceCompletedEvent), "sub-done")]
    [JsonDerivedType(typeof(SubOrchestrationInstanceFailedEvent), "sub-failed")]
    [JsonDerivedType(typeof(TimerCreatedEvent), "timer")]
    [JsonDerivedType(typeof(TimerFiredEvent), "timer-fired")]
    [JsonDerivedType(typeof(EventSentEvent), "sent")]
    [JsonDerivedType(typeof(EventRaisedEvent), "raised")]
    public abstract class HistoryEvent(int eventId)
    {
        [JsonInclude]
        public int EventId { get; internal set; } = eventId;

        [JsonIgnore]
        public bool IsPlayed { get; set; }

        public DateTime Timestamp { get; set; }

        [JsonIgnore]
        public abstract EventType EventType { get; }
    }

    /// <summary>A step begins; its timestamp is the orchestrator's clock during it.</summary>
    public class OrchestratorStartedEvent(int eventId) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.OrchestratorStarted;
    }

    public class OrchestratorCompletedEvent(int eventId) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.OrchestratorCompleted;
    }

    public class ExecutionStartedEvent(int eventId, string? input) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.ExecutionStarted;

        public string Name { get; set; } = "";

        public string? Input { get; set; } = input;
    }

    public class ExecutionCompletedEvent(int eventId, string? result, OrchestrationStatus orchestrationStatus, FailureDetails? failureDetails = null) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.ExecutionCompleted;

        public OrchestrationStatus OrchestrationStatus { get; } = orchestrationStatus;

        public string? Result { get; } = result;

        public FailureDetails? FailureDetails { get; } = failureDetails;
    }

    public class ExecutionTerminatedEvent(int eventId, string? input) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.ExecutionTerminated;

        public string? Input { get; set; } = input;
    }

    public class ExecutionSuspendedEvent(int eventId, string? reason) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.ExecutionSuspended;

        public string? Reason { get; set; } = reason;
    }

    public class ExecutionResumedEvent(int eventId, string? reason) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.ExecutionResumed;

        public string? Reason { get; set; } = reason;
    }

    public class TaskScheduledEvent(int eventId) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.TaskScheduled;

        public string? Name { get; set; }

        public string? Input { get; set; }
    }

    public class TaskCompletedEvent(int eventId, int taskScheduledId, string? result) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.TaskCompleted;

        public int TaskScheduledId { get; } = taskScheduledId;

        public string? Result { get; } = result;
    }

    public class TaskFailedEvent(int eventId, int taskScheduledId, string? reason, string? details, FailureDetails? failureDetails) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.TaskFailed;

        public int TaskScheduledId { get; } = taskScheduledId;

        public string? Reason { get; } = reason;

        public string? Details { get; } = details;

        public FailureDetails? FailureDetails { get; } = failureDetails;
    }

    public class SubOrchestrationInstanceCreatedEvent(int eventId) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.SubOrchestrationInstanceCreated;

        public string Name { get; set; } = "";

        public string InstanceId { get; set; } = "";

        public string? Input { get; set; }
    }

    public class SubOrchestrationInstanceCompletedEvent(int eventId, int taskScheduledId, string? result) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.SubOrchestrationInstanceCompleted;

        public int TaskScheduledId { get; } = taskScheduledId;

        public string? Result { get; } = result;
    }

    public class SubOrchestrationInstanceFailedEvent(int eventId, int taskScheduledId, string? reason, string? details, FailureDetails? failureDetails) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.SubOrchestrationInstanceFailed;

        public int TaskScheduledId { get; } = taskScheduledId;

        public string? Reason { get; } = reason;

        public string? Details { get; } = details;

        public FailureDetails? FailureDetails { get; } = failureDetails;
    }

    public class TimerCreatedEvent(int eventId, DateTime fireAt) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.TimerCreated;

        public DateTime FireAt { get; set; } = fireAt;
    }

    public class TimerFiredEvent(int eventId, DateTime fireAt) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.TimerFired;

        public int TimerId { get; set; }

        public DateTime FireAt { get; set; } = fireAt;
    }

    public class EventSentEvent(int eventId) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.EventSent;

        public string InstanceId { get; set; } = "";

        public string Name { get; set; } = "";

        public string? Input { get; set; }
    }

    public class EventRaisedEvent(int eventId, string? input) : HistoryEvent(eventId)
    {
        public override EventType EventType => EventType.EventRaised;

        public string Name { get; set; } = "";

        public string? Input { get; set; } = input;
    }
}
